//! The shape of built-in objects: types always, unknown fields where the client asks for strictness.
//!
//! Custom kinds are not checked: their schema is tested elsewhere, against a real server.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::apply::merge::without_nulls;
use crate::kinds::Kind;
use crate::refusal::{Answer, refusal};

type Reader = fn(Value) -> Result<Value, serde_json::Error>;

/// Checks a body, whole or partial.
///
/// # Errors
/// 400: a field has the wrong type, or, if `strict`, is unknown.
pub(super) fn check(kind: &Kind, body: &Value, strict: bool) -> Answer<()> {
    let Some(read) = reader(kind) else { return Ok(()) };
    let mut body = quantities_as_text(without_nulls(body.clone()), false);
    body["apiVersion"] = json!(kind.api_version());
    body["kind"] = json!(kind.kind);
    let known = read(body.clone()).map_err(|wrong| {
        refusal(400, format!("{} in version {:?} cannot be handled: {wrong}", kind.kind, kind.version))
    })?;
    let mut unknown = BTreeSet::new();
    missing("", &body, &known, &mut unknown);
    if strict && !unknown.is_empty() {
        let fields: Vec<_> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
        return Err(refusal(400, format!("strict decoding error: {}", fields.join(", "))));
    }
    Ok(())
}

fn reader(kind: &Kind) -> Option<Reader> {
    Some(match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => read::<core::Pod>,
        ("", "Service") => read::<core::Service>,
        ("", "ServiceAccount") => read::<core::ServiceAccount>,
        ("", "ConfigMap") => read::<core::ConfigMap>,
        ("", "Secret") => read::<core::Secret>,
        ("", "PersistentVolumeClaim") => read::<core::PersistentVolumeClaim>,
        ("events.k8s.io", _) => read::<Event>,
        ("apps", "Deployment") => read::<Deployment>,
        ("apps", _) => read::<ReplicaSet>,
        ("policy", _) => read::<PodDisruptionBudget>,
        ("networking.k8s.io", _) => read::<NetworkPolicy>,
        ("rbac.authorization.k8s.io", "Role") => read::<Role>,
        ("rbac.authorization.k8s.io", _) => read::<RoleBinding>,
        ("coordination.k8s.io", _) => read::<Lease>,
        ("discovery.k8s.io", _) => read::<EndpointSlice>,
        _ => return None,
    })
}

fn read<K: DeserializeOwned + Serialize>(body: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<K>(body)?)
}

/// Which fields of `body` did not survive reading.
fn missing(place: &str, body: &Value, known: &Value, found: &mut BTreeSet<String>) {
    match (body, known) {
        (Value::Object(said), Value::Object(kept)) => {
            for (name, value) in said {
                let place = format!("{place}.{name}");
                match kept.get(name) {
                    Some(kept) => missing(&place, value, kept, found),
                    None => drop(found.insert(place.trim_start_matches('.').to_owned())),
                }
            }
        }
        (Value::Array(said), Value::Array(kept)) => {
            for (at, (value, kept)) in said.iter().zip(kept).enumerate() {
                missing(&format!("{place}[{at}]"), value, kept, found);
            }
        }
        _ => {}
    }
}

/// The real server takes quantities as numbers too; the types we read with do not.
fn quantities_as_text(value: Value, amounts: bool) -> Value {
    const AMOUNTS: &[&str] = &["limits", "requests", "capacity", "allocatable", "sizeLimit"];
    match value {
        Value::Number(number) if amounts => Value::String(number.to_string()),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let amounts = AMOUNTS.contains(&name.as_str()) || amounts && value.is_number();
                (name, quantities_as_text(value, amounts))
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| quantities_as_text(item, false)).collect(),
        other => other,
    }
}
