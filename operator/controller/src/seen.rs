//! Narrow views of Kubernetes' own objects: only what decisions need is decoded and kept.
//!
//! A whole Pod takes tens of kilobytes in a store; this view of it well under two.

use std::collections::BTreeMap;

use deepseek_core::decide::node_loss::UNREACHABLE;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::Deserialize;

/// A Pod: where it is, what it holds, how it is.
#[derive(Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = Pod)]
pub struct SeenPod {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub spec: SeenPodSpec,
    /// How it is.
    #[serde(default)]
    pub status: SeenPodStatus,
}

/// What a Pod asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenPodSpec {
    /// The node it was put on.
    pub node_name: Option<String>,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<SeenContainer>,
    /// Containers that run first.
    #[serde(default)]
    pub init_containers: Vec<SeenContainer>,
}

/// A container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenContainer {
    /// `Always` makes a sidecar of a container that runs first.
    pub restart_policy: Option<String>,
    /// What it asks for.
    #[serde(default)]
    pub resources: SeenResources,
}

impl SeenContainer {
    /// Whether it goes on running beside those that come after it.
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

/// Resources of a container.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenResources {
    /// What is reserved.
    #[serde(default)]
    pub requests: BTreeMap<String, Quantity>,
}

/// How a Pod is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenPodStatus {
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: Option<String>,
    /// Its address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<SeenCondition>,
    /// Its containers.
    #[serde(default)]
    pub container_statuses: Vec<SeenContainerStatus>,
}

/// A condition of a Pod or a node.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// Why, in words.
    pub message: Option<String>,
}

/// How a container is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenContainerStatus {
    /// How often it was started again.
    #[serde(default)]
    pub restart_count: i32,
    /// Now.
    #[serde(default)]
    pub state: SeenContainerState,
    /// Before.
    #[serde(default)]
    pub last_state: SeenContainerState,
}

/// A container waits, or has ended.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenContainerState {
    /// Why it waits.
    pub waiting: Option<SeenWaiting>,
    /// How it ended.
    pub terminated: Option<SeenTerminated>,
}

/// Why a container waits.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenWaiting {
    /// In one word.
    pub reason: Option<String>,
    /// In words.
    pub message: Option<String>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenTerminated {
    /// Its exit code.
    #[serde(default)]
    pub exit_code: i32,
    /// Its last words.
    pub message: Option<String>,
}

/// A node: its labels, its taints, and what it offers.
#[derive(Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = Node)]
pub struct SeenNode {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Whether it may be used.
    #[serde(default)]
    pub spec: SeenNodeSpec,
    /// What it offers.
    #[serde(default)]
    pub status: SeenNodeStatus,
}

impl SeenNode {
    /// Whether we keep Pods off it.
    pub fn is_kept_off(&self) -> bool {
        self.spec.taints.iter().any(|taint| taint.key == UNREACHABLE)
    }

    /// Whether Kubernetes calls it ready.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }
}

/// Whether a node may be used.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenNodeSpec {
    /// It is cordoned.
    #[serde(default)]
    pub unschedulable: bool,
    /// Its taints.
    #[serde(default)]
    pub taints: Vec<Taint>,
}

/// What a node offers, and how its kubelet is reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenNodeStatus {
    /// What Pods may have in all.
    #[serde(default)]
    pub allocatable: BTreeMap<String, Quantity>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<SeenCondition>,
    /// Its addresses.
    #[serde(default)]
    pub addresses: Vec<SeenAddress>,
    /// Ports of its daemons.
    #[serde(default)]
    pub daemon_endpoints: SeenDaemons,
}

/// An address of a node.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenAddress {
    /// InternalIP, Hostname and others.
    #[serde(rename = "type")]
    pub type_: String,
    /// The address.
    pub address: String,
}

/// Ports of a node's daemons.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenDaemons {
    /// Of the kubelet.
    #[serde(default)]
    pub kubelet_endpoint: SeenPort,
}

/// A port.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct SeenPort {
    /// Its number; 0 when it is not known.
    #[serde(rename = "Port", default)]
    pub port: u16,
}

/// A persistent volume claim.
#[derive(Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = PersistentVolumeClaim)]
pub struct SeenClaim {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// How it is.
    #[serde(default)]
    pub status: SeenClaimStatus,
}

/// How a claim is.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenClaimStatus {
    /// Pending, Bound or Lost.
    pub phase: Option<String>,
}

/// Takes from an object's metadata what nobody here reads.
pub fn prune<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    meta.generate_name = None;
    meta.creation_timestamp = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| key.starts_with("deepseek-operator.io/"));
    }
}

/// Countable resources, in whole units: the ones with a domain in their name, such as `nvidia.com/gpu`.
pub fn whole_units(quantities: &BTreeMap<String, Quantity>) -> impl Iterator<Item = (&str, i64)> {
    (quantities.iter())
        .filter(|(name, _)| name.contains('/'))
        .filter_map(|(name, quantity)| Some((name.as_str(), quantity.0.parse().ok()?)))
}

/// Whether a Pod asks for any countable resource.
pub fn holds_accelerators(pod: &SeenPod) -> bool {
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    containers.flat_map(|c| whole_units(&c.resources.requests)).any(|(_, count)| count > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let mut pod: SeenPod = serde_json::from_value(json!({"metadata": {
            "name": "chat-0", "namespace": "ai", "uid": "u", "resourceVersion": "7", "generateName": "chat-",
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
            "labels": {"deepseek-operator.io/deployment": "chat"},
            "annotations": {"deepseek-operator.io/served-names": "r1", "example.org/long": "text"},
            "managedFields": [{"manager": "kubelet", "operation": "Update"}],
        }}))
        .unwrap();
        let before = pod.metadata.clone();
        prune(&mut pod);
        let kept = ObjectMeta {
            managed_fields: None,
            generate_name: None,
            creation_timestamp: None,
            annotations: Some([("deepseek-operator.io/served-names".to_owned(), "r1".to_owned())].into()),
            ..before
        };
        assert_eq!(pod.metadata, kept, "name, labels, version, UID and the time of deletion stay");
        let mut bare = SeenPod::default();
        prune(&mut bare);
        assert_eq!(bare.metadata, ObjectMeta::default());
    }
}
