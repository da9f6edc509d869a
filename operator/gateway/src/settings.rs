//! What the gateway is told: configuration, keys, certificate, from files and from the API server.
//!
//! # Guarantees
//! What cannot be read changes nothing: the last good one stays, and the defect is logged once, without what is in the file.
//!
//! The mounted file follows the `ConfigMap` by up to a minute. So once the API server has spoken, the file counts no longer: it could
//! only bring back what is past. After a start without the API server what was kept is newer than the file or the same.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deepseek_core::gateway::GatewayConfig;
use tokio::time::sleep;

use crate::kept::Kept;
use crate::keys::Keys;
use crate::ready::{Need, Readiness};
use crate::scene::Shared;
use crate::tls::Certificate;

/// How often files are looked at: a mounted `ConfigMap` or Secret changes about once a minute at most.
const LOOK: Duration = Duration::from_secs(2);

/// The files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The configuration.
    pub config: PathBuf,
    /// A folder with keys.
    pub keys: Option<PathBuf>,
    /// The certificate, where clients speak TLS.
    pub certificate: Option<Arc<Certificate>>,
}

/// Where settings come from, and where they go.
pub struct Settings {
    files: Files,
    shared: Arc<Shared>,
    ready: Arc<Readiness>,
    kept: Option<Kept>,
    /// What the file said when it was looked at last.
    seen: RefCell<Option<String>>,
    /// The API server has told the configuration.
    was_told: Cell<bool>,
    /// By source, what was complained about last.
    complaints: RefCell<HashMap<&'static str, String>>,
}

impl Settings {
    /// From these files, into this scene.
    pub fn new(files: Files, shared: Arc<Shared>, ready: Arc<Readiness>, kept: Option<Kept>) -> Self {
        Self {
            files,
            shared,
            ready,
            kept,
            seen: RefCell::default(),
            was_told: Cell::default(),
            complaints: RefCell::default(),
        }
    }

    /// What there is at the start. Of a `ConfigMap` that is watched, what was kept is newer than the file, or the same; otherwise it is what
    /// is left when the file is broken.
    pub fn begin(&self, watched: bool) {
        let kept =
            || self.kept.as_ref().and_then(Kept::config).is_some_and(|kept| self.take("kept configuration", &kept));
        if watched && kept() {
            *self.seen.borrow_mut() = std::fs::read_to_string(&self.files.config).ok();
        }
        self.look();
        if self.ready.is_lacking(Need::Config) {
            kept();
        }
    }

    /// Takes over what changes in the files; never returns.
    pub async fn attend(&self) {
        loop {
            sleep(LOOK).await;
            self.look();
        }
    }

    /// Takes a configuration from the API server.
    pub fn told(&self, text: &str) {
        if self.take("configmap", text) {
            self.was_told.set(true);
        }
    }

    /// Looks at the files.
    pub fn look(&self) {
        if !self.was_told.get() {
            self.look_at_file();
        }
        self.look_at_certificate();
        if self.ready.is_lacking(Need::Config) {
            return;
        }
        let scene = self.shared.scene();
        let keys = self.read_keys(&scene.config);
        if keys != *scene.keys {
            tracing::info!(keys = keys.len(), "keys changed");
            self.shared.configure((*scene.config).clone(), keys);
        }
    }

    fn look_at_file(&self) {
        let text = match std::fs::read_to_string(&self.files.config) {
            Ok(text) => text,
            Err(error) => {
                let why = format!("{}: {error}", self.files.config.display());
                self.ready.lacks(Need::Config, &why);
                return self.complain("file", &why);
            }
        };
        if self.seen.borrow().as_ref() != Some(&text) {
            self.take("file", &text);
            *self.seen.borrow_mut() = Some(text);
        }
    }

    fn look_at_certificate(&self) {
        let Some(certificate) = &self.files.certificate else { return };
        match certificate.look() {
            Ok(true) => {
                tracing::info!("certificate taken over");
                self.complaints.borrow_mut().remove("certificate");
                self.ready.has(Need::Certificate);
            }
            Ok(false) => {}
            Err(why) => {
                self.ready.lacks(Need::Certificate, &why);
                self.complain("certificate", &why);
            }
        }
    }

    /// Takes a configuration, unless it cannot be read; the one that was there last is kept.
    fn take(&self, source: &'static str, text: &str) -> bool {
        let config: GatewayConfig = match serde_json::from_str(text) {
            Ok(config) => config,
            Err(error) => {
                self.ready.lacks(Need::Config, &format!("{source}: {error}"));
                self.complain(source, &error.to_string());
                return false;
            }
        };
        self.complaints.borrow_mut().remove(source);
        let keys = self.read_keys(&config);
        let scene = self.shared.scene();
        if config != *scene.config || keys != *scene.keys {
            tracing::info!(source, keys = keys.len(), "configuration changed");
            self.shared.configure(config, keys);
        }
        self.ready.has(Need::Config);
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.config().as_deref() != Some(text)) {
            kept.keep_config(text);
        }
        true
    }

    /// The keys; those of before when they cannot be read.
    fn read_keys(&self, config: &GatewayConfig) -> Keys {
        let before = &self.shared.scene().keys;
        let read = match &self.files.keys {
            Some(folder) => Keys::read(folder, &config.clients, before),
            None if config.keys_required => Err("there is no folder with keys (--keys)".to_owned()),
            None => Ok(Keys::default()),
        };
        let keys = match read {
            Ok(keys) => {
                self.complaints.borrow_mut().remove("keys");
                keys
            }
            Err(why) => {
                self.ready.lacks(Need::Keys, &why);
                self.complain("keys", &why);
                before.under(&config.clients)
            }
        };
        if !keys.is_empty() || !config.keys_required {
            self.ready.has(Need::Keys);
        } else {
            self.ready.lacks(Need::Keys, "keysRequired is true, and there is no key");
        }
        keys
    }

    /// Says what is wrong with a source, once.
    pub fn complain(&self, source: &'static str, why: &str) {
        let before = self.complaints.borrow_mut().insert(source, why.to_owned());
        if before.as_deref() != Some(why) {
            tracing::error!(source, why, "cannot be used; the last that was good stays");
        }
    }
}
