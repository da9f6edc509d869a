//! From a plan to Kubernetes objects, one file per kind; here is what they have in common.

pub mod deployment;
pub mod disruption_budget;
pub mod engine;
pub mod gateway;
pub mod gateway_access;
pub mod gateway_config;
pub mod held;
pub mod network_policy;
pub mod probes;
pub mod service;

use std::collections::BTreeMap;
use std::hash::Hasher;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::core::Resource;
use serde_json::Value;

use crate::observed::Component;
use crate::plan::{Child, ChildKind};

/// Port of every engine, every Service and every gateway.
pub const PORT: i32 = 8000;
/// Port of every gateway's `/readyz`, `/metrics` and `/debug/state`.
pub const ADMIN_PORT: i32 = 8080;
/// Label on every child of a deployment and on its Pods: what it is.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Label on every child: the deployment it belongs to.
pub const DEPLOYMENT_LABEL: &str = "deepseek-operator.io/deployment";
/// Label on every engine Pod: the revision of the plan it was made from.
pub const REVISION_LABEL: &str = "deepseek-operator.io/revision";
/// Annotation on every child: hash of what was applied, so that a field that is no longer planned is noticed.
pub const PLAN_HASH: &str = "deepseek-operator.io/plan-hash";
/// Annotation on every engine Pod: the names that its canary must find, separated by commas.
pub const SERVED_NAMES: &str = "deepseek-operator.io/served-names";
/// Annotation on the engine's Deployment: the accelerator that its revision was placed on.
pub const ACCELERATOR: &str = "deepseek-operator.io/accelerator";
/// Annotation on the engine's Deployment: accelerators of one replica.
pub const PER_REPLICA: &str = "deepseek-operator.io/accelerators-per-replica";

/// Longest name of a Service.
const LONGEST_NAME: usize = 63;
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of `app.kubernetes.io/managed-by` on every child.
pub const MANAGER: &str = "deepseek-operator";

/// Selects the children of every deployment.
pub fn managed_selector() -> String {
    format!("{MANAGED_BY}={MANAGER},{DEPLOYMENT_LABEL}")
}

/// Labels that select the Pods of one component of one deployment. They never change: a Deployment's selector cannot.
pub fn selector(name: &str, component: Component) -> BTreeMap<String, String> {
    [(DEPLOYMENT_LABEL, name), (COMPONENT_LABEL, component.as_str())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The engine's, as the API writes it in `status.selector`.
pub fn engine_selector_text(name: &str) -> String {
    let selector = selector(name, Component::Engine);
    selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn label_selector(name: &str, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(name, component)), ..LabelSelector::default() }
}

fn labels(name: &str, component: Component) -> BTreeMap<String, String> {
    let standard =
        [("app.kubernetes.io/name", "deepseek"), ("app.kubernetes.io/instance", name), (MANAGED_BY, MANAGER)];
    let standard = standard.map(|(key, value)| (key.to_owned(), value.to_owned()));
    standard.into_iter().chain(selector(name, component)).collect()
}

/// Name of a child beside the one that has the deployment's own name. Where both together are too long for a Service, the end of
/// the deployment's name gives way to its fingerprint.
pub fn child_name(owner: &str, what: &str) -> String {
    let whole = format!("{owner}-{what}");
    if whole.len() <= LONGEST_NAME {
        return whole;
    }
    let mark = &fingerprint(&Value::String(owner.to_owned()))[..8];
    let kept = LONGEST_NAME - what.len() - mark.len() - 2;
    format!("{}-{mark}-{what}", owner[..kept].trim_end_matches('-'))
}

/// Metadata of a child: the standard labels, and the deployment as its controller, so that it goes when that goes.
fn metadata(
    owner: &DeepSeekDeployment,
    name: String,
    component: Component,
    annotations: BTreeMap<String, String>,
) -> ObjectMeta {
    ObjectMeta {
        labels: Some(labels(&owner.name_any(), component)),
        annotations: Some(annotations),
        name: Some(name),
        namespace: owner.namespace(),
        owner_references: Some(vec![controller_reference(owner)]),
        ..ObjectMeta::default()
    }
}

fn controller_reference(owner: &DeepSeekDeployment) -> OwnerReference {
    OwnerReference {
        api_version: DeepSeekDeployment::api_version(&()).into_owned(),
        kind: DeepSeekDeployment::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A child as it is applied: its JSON, with the hash of itself.
fn child(kind: ChildKind, object: &impl serde::Serialize) -> Child {
    // plain data with string keys always becomes JSON
    let mut body = serde_json::to_value(object).unwrap_or_default();
    let hash = fingerprint(&body);
    body["metadata"]["annotations"][PLAN_HASH] = Value::String(hash);
    let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Child { kind, name, body }
}

/// A short, stable fingerprint of a JSON value (64-bit FNV-1a over its canonical text: keys are sorted).
pub fn fingerprint(value: &Value) -> String {
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(value.to_string().as_bytes());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_children_are_never_too_long_and_never_the_same() {
        assert_eq!(child_name("chat", "gateway"), "chat-gateway");
        let (one, other) = ("a".repeat(62) + "b", "a".repeat(62) + "c");
        assert!(child_name(&one, "gateway").len() <= LONGEST_NAME);
        assert_ne!(child_name(&one, "gateway"), child_name(&other, "gateway"));
        let dashed = format!("{}-{}", "a".repeat(45), "b".repeat(17));
        assert!(!child_name(&dashed, "gateway").contains("--"));
    }
}
