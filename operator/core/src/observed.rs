//! One snapshot of the world around one deployment: plain data, all that a decision may look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::decide::autoscale::told::Told;
use crate::decide::node_loss::{NodeState, Watch};

/// Everything that was seen, at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When it was seen.
    pub now: Timestamp,
    /// Every node of the cluster, with what is free on it; shared, because there are many nodes and many looks.
    pub nodes: Arc<[Arc<Node>]>,
    /// The nodes that carry Pods of any deployment, by name, as our own probes see them.
    pub watch: Arc<Watch>,
    /// The claim that holds the weights; `None` when the weights come from elsewhere or the claim does not exist.
    pub claim: Option<Claim>,
    /// The Deployment of the engine as the API server stores it; `None` when there is none.
    pub workload: Option<Deployment>,
    /// Where the Service leads now; `None` when there is none.
    pub leads_to: Option<Component>,
    /// The engine's Pods.
    pub pods: Vec<Pod>,
    /// The gateway's Pods.
    pub gateways: Vec<Pod>,
    /// What was decided about scaling; `None` where nothing scales, or nothing was decided yet.
    pub scaling: Option<Arc<Told>>,
    /// Settings of the operator that decisions depend on.
    pub settings: Arc<Settings>,
}

/// Settings of the operator that decisions depend on.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Images that take the place of the catalogue's, by engine type; for clusters with a registry of their own.
    pub engine_images: BTreeMap<String, String>,
    /// Image with the operator's own program, mounted into engines that need help with draining; `None` when there is none,
    /// and then such engines cut running answers off when they stop.
    pub tools_image: Option<String>,
    /// Image of gateways: the operator's own. `None` when it is not known; then there are no gateways.
    pub gateway_image: Option<String>,
    /// Namespace of the operator itself, which engines let in.
    pub namespace: String,
    /// Namespaces whose Pods may read the metrics of engines.
    pub metrics_namespaces: Vec<String>,
    /// Where gateways send spans.
    pub otlp_endpoint: Option<String>,
}

/// What our own probes know of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// For how long nothing of ours there has answered.
    pub silent_for: Option<Duration>,
    /// For how long its kubelet has been thought dead, too.
    pub suspect_for: Option<Duration>,
}

/// What a Pod of a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// It runs the model.
    Engine,
    /// It stands between clients and engines.
    Gateway,
}

impl Component {
    /// As labels call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Gateway => "gateway",
        }
    }
}

impl Observed {
    /// What is thought of the node that a Pod is on.
    pub fn state_of(&self, pod: &Pod) -> NodeState {
        pod.node.as_ref().map_or(NodeState::Answers, |node| self.watch.state(node))
    }
}

/// A node and what is free on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is Ready and not cordoned.
    pub schedulable: bool,
    /// Countable resources that Pods may have in all, such as `nvidia.com/gpu`: whole units.
    pub allocatable: BTreeMap<String, i64>,
    /// What the Pods on it hold of them, terminating Pods included.
    pub held: BTreeMap<String, i64>,
}

impl Node {
    /// How many of a resource the node can carry in all.
    pub fn capacity(&self, resource: &str) -> i64 {
        self.allocatable.get(resource).copied().unwrap_or(0)
    }

    /// How many of a resource nobody holds.
    pub fn free(&self, resource: &str) -> i64 {
        (self.capacity(resource) - self.held.get(resource).copied().unwrap_or(0)).max(0)
    }

    /// Whether it has every label of a selector.
    pub fn is_selected(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    /// Whether a Pod with this selector and these tolerations may be put here, as far as labels and taints say.
    pub fn admits(&self, selector: &BTreeMap<String, String>, tolerations: &[Toleration]) -> bool {
        self.schedulable
            && self.is_selected(selector)
            && self.taints.iter().all(|taint| {
                taint.effect == "PreferNoSchedule" || tolerations.iter().any(|toleration| tolerates(toleration, taint))
            })
    }
}

/// The scheduler's rule: an empty key tolerates every taint, an empty effect every effect, `Exists` every value.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let unset_or = |set: &Option<String>, value: &str| set.as_deref().is_none_or(|s| s.is_empty() || s == value);
    unset_or(&toleration.effect, &taint.effect)
        && match toleration.operator.as_deref() {
            Some("Exists") => unset_or(&toleration.key, &taint.key),
            _ => {
                toleration.key.as_deref() == Some(taint.key.as_str())
                    && toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
            }
        }
}

/// A persistent volume claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It has a volume.
    Bound,
    /// It waits for a volume, perhaps until the first Pod is scheduled.
    Pending,
    /// Its volume is gone.
    Lost,
}

/// One Pod of a deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The revision of the plan it was made from, as the plan labels its Pod template.
    pub revision: String,
    /// The node it was put on.
    pub node: Option<String>,
    /// Countable resources that it holds there, or waits for.
    pub held: BTreeMap<String, i64>,
    /// Whether the kubelet calls it ready, as far as it was heard last.
    pub ready: bool,
    /// Whether Services lead to it: it is ready, and Kubernetes has not lost sight of its node.
    pub led_to: bool,
    /// Its address, once it has one.
    pub address: Option<String>,
    /// Whether it is on its way out.
    pub terminating: bool,
    /// Why the scheduler cannot put it anywhere.
    pub unschedulable: Option<String>,
    /// What keeps its container from running.
    pub trouble: Option<Trouble>,
    /// What the operator's own canary saw last; `None` before the first answer. A gateway is asked whether it is ready.
    pub canary: Option<Canary>,
}

/// What keeps a container from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// An image cannot be pulled.
    Image(String),
    /// The engine ends again and again.
    Crashing {
        /// Exit code of the last end.
        exit_code: i32,
        /// How often it was started again.
        restarts: i32,
        /// What is known of its last words.
        message: String,
    },
    /// The container cannot be made, for instance because a Secret is missing.
    Configuration(String),
}

/// What the operator's own canary saw: one token asked of one Pod under the first served name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canary {
    /// The served names are listed and a token came.
    Answered,
    /// It went wrong in this way.
    Failed(String),
}

impl Pod {
    /// How many of a resource it holds.
    pub fn holds(&self, resource: &str) -> i64 {
        self.held.get(resource).copied().unwrap_or(0)
    }

    /// Whether it serves: its canary answered, and it is not on its way out.
    pub fn serves(&self) -> bool {
        !self.terminating && self.ready && self.canary == Some(Canary::Answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: Some(value.into()), effect: effect.into(), ..Taint::default() }
    }

    fn toleration(key: Option<&str>, operator: &str, value: Option<&str>, effect: Option<&str>) -> Toleration {
        Toleration {
            key: key.map(Into::into),
            operator: Some(operator.into()),
            value: value.map(Into::into),
            effect: effect.map(Into::into),
            ..Toleration::default()
        }
    }

    #[test]
    fn a_toleration_matches_as_the_scheduler_matches() {
        let gpu = taint("nvidia.com/gpu", "present", "NoSchedule");
        assert!(tolerates(&toleration(Some("nvidia.com/gpu"), "Exists", None, None), &gpu));
        assert!(tolerates(&toleration(Some("nvidia.com/gpu"), "Equal", Some("present"), Some("NoSchedule")), &gpu));
        assert!(tolerates(&toleration(None, "Exists", None, None), &gpu));
        assert!(!tolerates(&toleration(Some("nvidia.com/gpu"), "Equal", Some("absent"), None), &gpu));
        assert!(!tolerates(&toleration(Some("nvidia.com/gpu"), "Exists", None, Some("NoExecute")), &gpu));
        assert!(!tolerates(&toleration(None, "Equal", None, None), &gpu));
    }

    #[test]
    fn a_node_admits_what_its_labels_and_taints_allow() {
        let mut node = Node { schedulable: true, labels: [("pool".into(), "a".into())].into(), ..Node::default() };
        let in_pool: BTreeMap<String, String> = [("pool".into(), "a".into())].into();
        assert!(node.admits(&in_pool, &[]));
        assert!(!node.admits(&[("pool".into(), "b".into())].into(), &[]));
        node.taints = vec![taint("busy", "", "PreferNoSchedule")];
        assert!(node.admits(&in_pool, &[]));
        node.taints = vec![taint("dedicated", "x", "NoSchedule")];
        assert!(!node.admits(&in_pool, &[]));
        node.taints.clear();
        node.schedulable = false;
        assert!(!node.admits(&in_pool, &[]));
    }

    #[test]
    fn what_is_held_is_not_free() {
        let node = Node {
            allocatable: [("nvidia.com/gpu".into(), 8)].into(),
            held: [("nvidia.com/gpu".into(), 9)].into(),
            ..Node::default()
        };
        assert_eq!((node.capacity("nvidia.com/gpu"), node.free("nvidia.com/gpu"), node.free("amd.com/gpu")), (8, 0, 0));
    }
}
