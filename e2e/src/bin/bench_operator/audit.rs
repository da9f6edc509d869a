//! Requests as the API server counted them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::bed::SYSTEM;

/// The audit log, read from one moment to another.
pub struct Audit {
    path: PathBuf,
}

/// A moment of the log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// Requests of the operator between two moments.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// By verb, leases apart.
    pub by_verb: BTreeMap<String, u32>,
    /// By verb, resource and result, for people.
    pub by_kind: BTreeMap<String, u32>,
    /// Children that were created.
    pub children: u32,
    /// Those that were answered with an error.
    pub failed: u32,
    /// Those about leases.
    pub leases: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Target>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    resource: String,
    subresource: String,
    namespace: String,
}

#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
}

impl Audit {
    /// The log of an API server.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Now. The API server writes before it answers, so that whatever was answered lies before.
    ///
    /// # Errors
    /// When there is no log.
    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark(std::fs::metadata(&self.path).with_context(|| self.path.display().to_string())?.len()))
    }

    /// What the operator asked for since; `besides` leaves a namespace out.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn since(&self, mark: Mark, besides: Option<&str>) -> Result<Requests> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut requests = Requests::default();
        // the last line may not be complete
        for entry in text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
            requests.count(entry, besides);
        }
        Ok(requests)
    }
}

impl Requests {
    fn count(&mut self, entry: Entry, besides: Option<&str>) {
        // a watch is told of when it begins and when it ends
        let (stage, watch) = (entry.stage.as_str(), entry.verb == "watch");
        let once = if watch { stage == "ResponseStarted" } else { stage == "ResponseComplete" };
        let target = entry.object_ref.unwrap_or_default();
        let ours = entry.user.username == format!("system:serviceaccount:{SYSTEM}:deepseek-operator");
        if !once || !ours || besides == Some(target.namespace.as_str()) {
            return;
        }
        if target.resource == "leases" {
            self.leases += 1;
            return;
        }
        let code = entry.response_status.and_then(|status| status.code).unwrap_or(0);
        self.failed += u32::from(code >= 400);
        let child = matches!(target.resource.as_str(), "deployments" | "services" | "poddisruptionbudgets");
        self.children += u32::from(child && code == 201);
        let slash = if target.subresource.is_empty() { "" } else { "/" };
        let kind = format!("{} {}{slash}{} {code}", entry.verb, target.resource, target.subresource);
        *self.by_kind.entry(kind).or_default() += 1;
        *self.by_verb.entry(entry.verb).or_default() += 1;
    }

    /// Requests with one of these verbs.
    pub fn of(&self, verbs: &[&str]) -> u32 {
        verbs.iter().filter_map(|verb| self.by_verb.get(*verb)).sum()
    }

    /// All of them, leases apart.
    pub fn total(&self) -> u32 {
        self.by_verb.values().sum()
    }

    /// Those that change something, leases apart.
    pub fn writes(&self) -> u32 {
        self.of(&["create", "update", "patch", "delete", "deletecollection"])
    }
}
