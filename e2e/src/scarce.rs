//! The accelerators that scenarios take from each other: all that are free on one node, and one replica takes them together. When
//! it has them, there is no second place.

use std::collections::BTreeMap;

use anyhow::Result;
use deepseek_core::catalogue::Catalogue;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::fixtures::{Wanted, simulated};
use crate::lab;

const HOST: &str = "kubernetes.io/hostname";
/// The API allows no larger share for one replica.
const MOST: i64 = 64;

/// A node with so many free accelerators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scarce {
    /// Their product, as the catalogue calls it.
    pub product: String,
    /// The resource that Pods ask for.
    pub resource: String,
    /// The name of the node.
    pub node: String,
    host: String,
    count: i64,
}

impl Scarce {
    /// The one that every lab of ours has.
    pub fn of_lab() -> Self {
        Self {
            product: lab::SCARCE.to_owned(),
            resource: "nvidia.com/gpu".to_owned(),
            node: lab::SCARCE_NODE.to_owned(),
            host: lab::SCARCE_NODE.to_owned(),
            count: 1,
        }
    }

    /// The smallest of a cluster; `None` if no node has any to spare.
    ///
    /// # Errors
    /// When nodes or Pods cannot be listed.
    pub async fn find(client: &Client) -> Result<Option<Self>> {
        let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items;
        let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await?.items;
        Ok(smallest(&nodes, &pods))
    }

    /// A simulated engine that takes all of them.
    pub fn taken_by(&self, name: &str) -> Wanted {
        simulated(name).but(json!({
            "accelerator": {"cpu": null, "anyOf": [{"product": self.product, "count": self.count}]},
            "placement": {"nodeSelector": {HOST: self.host}},
        }))
    }
}

fn smallest(nodes: &[Node], pods: &[Pod]) -> Option<Scarce> {
    let mut spare: Vec<_> = nodes.iter().filter_map(|node| spare(node, pods)).collect();
    spare.sort_by(|a, b| (a.count, &a.node).cmp(&(b.count, &b.node)));
    spare.into_iter().next()
}

fn spare(node: &Node, pods: &[Pod]) -> Option<Scarce> {
    let entry = Catalogue::builtin().accelerator_of(node.labels())?;
    let name = node.name_any();
    let allocatable = node.status.as_ref()?.allocatable.as_ref()?;
    let held: i64 = pods.iter().filter(|pod| holds(pod, &name)).map(|pod| asked(pod, &entry.resource)).sum();
    let count = (whole(allocatable, &entry.resource) - held).min(MOST);
    (takes_pods(node, &entry.resource) && count > 0).then_some(Scarce {
        product: entry.product.clone(),
        resource: entry.resource.clone(),
        host: node.labels().get(HOST)?.clone(),
        node: name,
        count,
    })
}

/// Ready, not cordoned, and with no taint but that of accelerator nodes, which the operator tolerates.
fn takes_pods(node: &Node, resource: &str) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let spec = node.spec.clone().unwrap_or_default();
    let open = spec.taints.iter().flatten().all(|t| t.key == resource || t.effect == "PreferNoSchedule");
    ready && open && spec.unschedulable != Some(true)
}

fn holds(pod: &Pod, node: &str) -> bool {
    let over = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node)
        && !matches!(over, Some("Succeeded" | "Failed"))
}

/// How many of a resource the containers of a Pod ask for.
pub fn asked(pod: &Pod, resource: &str) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let limits = containers.filter_map(|container| container.resources.as_ref()?.limits.as_ref());
    limits.map(|limits| whole(limits, resource)).sum()
}

fn whole(amounts: &BTreeMap<String, Quantity>, resource: &str) -> i64 {
    amounts.get(resource).and_then(|amount| amount.0.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn node(name: &str, gpus: i64, spec: &Value) -> Node {
        let node = json!({
            "metadata": {"name": name, "labels": {HOST: name, "nvidia.com/gpu.product": "NVIDIA-L4"}},
            "spec": spec,
            "status": {
                "allocatable": {"nvidia.com/gpu": gpus.to_string()},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        serde_json::from_value(node).expect("a node")
    }

    fn pod(node: &str, gpus: i64, phase: &str) -> Pod {
        let limits = json!({"nvidia.com/gpu": gpus.to_string()});
        let pod = json!({
            "metadata": {"name": "training"}, "status": {"phase": phase},
            "spec": {"nodeName": node, "containers": [{"name": "a", "resources": {"limits": limits}}]},
        });
        serde_json::from_value(pod).expect("a Pod")
    }

    #[test]
    fn the_node_with_the_fewest_free_accelerators_is_taken_as_a_whole() {
        let none = json!({});
        let nodes = [node("a", 8, &none), node("b", 4, &none), node("c", 2, &none)];
        let pods = [pod("a", 1, "Running"), pod("c", 2, "Running"), pod("b", 3, "Succeeded")];
        let found = smallest(&nodes, &pods).expect("b has four");
        assert_eq!((found.node.as_str(), found.count, found.product.as_str()), ("b", 4, "nvidia-l4"));
        let wanted = found.taken_by("chat").spec;
        assert_eq!(wanted["accelerator"], json!({"anyOf": [{"product": "nvidia-l4", "count": 4}]}));
        assert_eq!(wanted["placement"]["nodeSelector"][HOST], "b");
    }

    #[test]
    fn nodes_that_take_no_pods_have_nothing_to_spare() {
        let of_gpus = json!({"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]});
        let others = json!({"taints": [{"key": "dedicated", "effect": "NoSchedule"}]});
        assert!(smallest(&[node("a", 1, &of_gpus)], &[]).is_some());
        for closed in [node("a", 1, &others), node("a", 1, &json!({"unschedulable": true})), node("a", 0, &json!({}))] {
            assert_eq!(smallest(&[closed], &[]), None);
        }
    }
}
