//! Version, health, and which groups and resources there are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::call::Call;
use crate::kinds::Kinds;
use crate::refusal::{Answer, refusal};

/// Answers paths which name no resource.
pub(super) fn answer(kinds: &Kinds, call: &Call) -> Answer<(u16, Value)> {
    let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let found = match parts.as_slice() {
        ["version"] => version(),
        ["readyz" | "livez" | "healthz", ..] => json!("ok"),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => groups(kinds),
        ["api", version] => resources(kinds, "", version)?,
        ["apis", group, version] => resources(kinds, group, version)?,
        _ => return Err(unknown()),
    };
    Ok((200, found))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2025-12-17T00:00:00Z", "goVersion": "", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn groups(kinds: &Kinds) -> Value {
    let named: BTreeSet<(&str, &str)> = kinds
        .iter()
        .filter(|kind| !kind.group.is_empty())
        .map(|kind| (kind.group.as_str(), kind.version.as_str()))
        .collect();
    let groups: Vec<Value> = named
        .into_iter()
        .map(|(group, version)| {
            let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
            json!({"name": group, "versions": [version], "preferredVersion": version})
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn resources(kinds: &Kinds, group: &str, version: &str) -> Answer<Value> {
    let served: Vec<Value> = kinds
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .flat_map(|kind| kind.discovery())
        .collect();
    if served.is_empty() {
        return Err(unknown());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": served,
    }))
}

fn unknown() -> Box<kube::core::Status> {
    refusal(404, "the server could not find the requested resource")
}
