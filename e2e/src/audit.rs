//! The API server's own record of who wrote what: nothing that the operator sends escapes it.

use std::io::SeekFrom;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// The record from a moment on.
pub struct Audit {
    path: PathBuf,
    from: u64,
}

/// A request that the API server answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    user: User,
    object_ref: Option<Target>,
    response_status: Option<Status>,
}

#[derive(Clone, Debug, Deserialize)]
struct User {
    username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Status {
    code: Option<u16>,
}

/// A write, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Plural name of the kind, with the subresource behind a slash.
    pub resource: String,
    /// Where.
    pub namespace: String,
    /// All of it, for people: verb, object, and what was answered.
    pub told: String,
}

impl Audit {
    /// The record from now on.
    ///
    /// # Errors
    /// When there is none.
    pub async fn from_now(path: PathBuf) -> Result<Self> {
        let from = tokio::fs::metadata(&path).await.with_context(|| format!("{}", path.display()))?.len();
        Ok(Self { path, from })
    }

    /// Everything that a user has written since, in one namespace, leases apart.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub async fn writes(&self, user: &str, namespace: &str) -> Result<Vec<Write>> {
        let mut file = File::open(&self.path).await.with_context(|| format!("{}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.from)).await?;
        let mut text = String::new();
        file.read_to_string(&mut text).await?;
        let writes = text.lines().filter_map(|line| write_by(user, line));
        Ok(writes.filter(|write| write.namespace == namespace).collect())
    }
}

/// The write that a line tells of, if it is one of this user's. The last line may still be incomplete.
fn write_by(user: &str, line: &str) -> Option<Write> {
    let Entry { verb, user: by, object_ref, response_status } = serde_json::from_str(line).ok()?;
    let target = object_ref.unwrap_or_default();
    let writes = !matches!(verb.as_str(), "get" | "list" | "watch") && target.resource != "leases";
    if by.username != user || !writes {
        return None;
    }
    let Target { resource, subresource, namespace, name } = target;
    let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
    let code = response_status.and_then(|status| status.code).unwrap_or(0);
    let told = format!("{verb} {resource} {namespace}/{name} (HTTP {code})");
    Some(Write { resource, namespace, told })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str, verb: &str, resource: &str) -> String {
        serde_json::json!({
            "verb": verb, "user": {"username": user},
            "objectRef": {"resource": resource, "namespace": "ns", "name": "chat", "subresource": "status"},
            "responseStatus": {"code": 200},
        })
        .to_string()
    }

    #[test]
    fn reads_leases_and_others_are_no_writes_of_ours() {
        assert_eq!(
            write_by("op", &line("op", "patch", "things")).unwrap().told,
            "patch things/status ns/chat (HTTP 200)"
        );
        for other in [line("op", "watch", "things"), line("op", "update", "leases"), line("me", "patch", "things")] {
            assert_eq!(write_by("op", &other), None);
        }
        assert_eq!(write_by("op", "{\"verb\": \"pat"), None);
    }
}
