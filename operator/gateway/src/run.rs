//! How the gateway is started, kept up to date, and stopped.
//!
//! # Expected flow
//! Read the configuration, listen, serve on every processor. On the signal: `/readyz` fails, no connection is accepted any more, what
//! runs ends, at the latest after the drain time.
//! # Guarantees
//! A configuration or key that cannot be read changes nothing: the last good one stays.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deepseek_core::gateway::GatewayConfig;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::health::Health;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::scene::{Found, Shared};
use crate::{admin, probe, serve};

/// How often files are looked at: a mounted `ConfigMap` or Secret changes about once a minute at most.
const LOOK: Duration = Duration::from_secs(2);

/// How a gateway is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration, as JSON.
    pub config: PathBuf,
    /// A folder with API keys.
    pub keys: Option<PathBuf>,
    /// Where clients are served.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz`, `/metrics` and `/debug/state` are served.
    pub admin: SocketAddr,
    /// The replicas.
    pub replicas: Vec<Found>,
    /// Workers.
    pub workers: usize,
}

/// Why a gateway does not start.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration or a key cannot be read.
    #[error("{0}")]
    Files(String),
    /// An address cannot be listened on, or a thread cannot be started.
    #[error("{what}: {error}")]
    Start {
        /// What was tried.
        what: String,
        /// What went wrong.
        error: std::io::Error,
    },
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Runs until `stop` is ready and what runs has ended.
///
/// # Errors
/// When it cannot start.
pub fn run(options: Options, stop: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), Error> {
    let start = |what: &str| {
        let what = what.to_owned();
        move |error| Error::Start { what, error }
    };
    let (config, keys) = read(&options, &Keys::default()).map_err(Error::Files)?;
    let shared = Shared::new(config, keys, Metrics::new()?);
    shared.replace(&options.replicas, Health::new());
    let listener = bind(options.listen)?;
    let (stopping, stopped) = watch::channel(false);
    let mut workers = Vec::new();
    for at in 0..options.workers.max(1) {
        let (listener, shared, stopped) =
            (listener.try_clone().map_err(start("listening"))?, shared.clone(), stopped.clone());
        let worker = std::thread::Builder::new().name(format!("worker-{at}"));
        workers.push(worker.spawn(move || serve::work(listener, shared, stopped)).map_err(start("a worker"))?);
    }
    drop(listener);
    let admin = bind(options.admin)?;
    let (controlled, told) = (shared.clone(), stopped.clone());
    let control = std::thread::Builder::new().name("control".into());
    // it goes on while workers drain, and ends with the process
    control.spawn(move || control_loop(admin, &options, &controlled, told)).map_err(start("the control thread"))?;
    let waiting = std::thread::Builder::new().name("signals".into());
    waiting
        .spawn(move || {
            if let Err(error) = stop() {
                tracing::error!(%error, "signals cannot be waited for");
            }
            stopping.send(true)
        })
        .map_err(start("the signal thread"))?;
    for worker in workers {
        if let Ok(ended) = worker.join() {
            ended.map_err(start("a worker"))?;
        }
    }
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| Error::Start { what: format!("listening on {address}"), error })
}

/// Everything that is no request: probes, files, the admin port.
fn control_loop(admin: TcpListener, options: &Options, shared: &Arc<Shared>, stopped: watch::Receiver<bool>) {
    let ended = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        LocalSet::new().block_on(&runtime, async {
            tokio::select! {
                ended = admin::serve(admin, shared.clone(), stopped) => ended,
                () = probe::attend(shared.clone()) => Ok(()),
                () = follow(options, shared) => Ok(()),
            }
        })
    });
    if let Err(error) = ended {
        tracing::error!(%error, "control loop ended");
    }
}

/// Takes over what changes in the files.
async fn follow(options: &Options, shared: &Arc<Shared>) {
    let mut complaint = String::new();
    loop {
        sleep(LOOK).await;
        let scene = shared.scene();
        match read(options, &scene.keys) {
            Ok((config, keys)) => {
                complaint.clear();
                if config != *scene.config || keys != *scene.keys {
                    tracing::info!(keys = keys.len(), "configuration changed");
                    shared.configure(config, keys);
                }
            }
            Err(error) if error != complaint => {
                tracing::error!(error, "the last good configuration stays");
                complaint = error;
            }
            Err(_) => {}
        }
    }
}

fn read(options: &Options, before: &Keys) -> Result<(GatewayConfig, Keys), String> {
    let config = read_config(&options.config)?;
    let keys = match &options.keys {
        Some(folder) => Keys::read(folder, &config.clients, before)?,
        None if config.keys_required => {
            return Err("keysRequired is true, and there is no folder with keys (--keys)".to_owned());
        }
        None => Keys::default(),
    };
    Ok((config, keys))
}

fn read_config(path: &Path) -> Result<GatewayConfig, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
