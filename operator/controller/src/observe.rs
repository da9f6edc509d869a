//! From the stores to one plain value. Nothing here asks the API server or an engine: all of it is kept fresh by other tasks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use deepseek_core::observed::{Claim, Node, Observed, Pod, Settings, Trouble};
use deepseek_core::render::{DEPLOYMENT_LABEL, REVISION_LABEL};
use deepseek_crds::DeepSeekDeployment;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::belonging::{Belonging, belonging};
use crate::memory::Memory;
use crate::seen::{SeenClaim, SeenContainerStatus, SeenNode, SeenPod, whole_units};
use crate::sentry::Canaries;
use crate::watch::Stores;

/// The observer: stores, and what is worth keeping between two looks.
pub struct Observer {
    stores: Stores,
    canaries: Canaries,
    settings: Arc<Settings>,
    nodes: Mutex<(Option<u64>, Arc<[Node]>)>,
}

impl Observer {
    /// An observer of these stores.
    pub fn new(stores: Stores, canaries: Canaries, settings: Arc<Settings>) -> Self {
        Self { stores, canaries, settings, nodes: Mutex::new((None, Arc::new([]))) }
    }

    /// Everything around one deployment, at this moment.
    pub fn observe(&self, deployment: &DeepSeekDeployment, memory: &Memory) -> Observed {
        let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
        Observed {
            now: Timestamp::now(),
            nodes: self.nodes(),
            claim: self.claim(deployment, &namespace),
            workload: self.workload(deployment, &name, &namespace, memory),
            pods: self.pods(&name, &namespace),
            settings: self.settings.clone(),
        }
    }

    /// Made again only after a node, or what is held on one, has changed: there are many deployments and many Pods.
    fn nodes(&self) -> Arc<[Node]> {
        let changes = self.stores.node_changes.load(Ordering::Relaxed);
        let mut kept = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != Some(changes) {
            *kept = (Some(changes), self.count_nodes());
        }
        kept.1.clone()
    }

    fn count_nodes(&self) -> Arc<[Node]> {
        let mut held: HashMap<String, BTreeMap<String, i64>> = HashMap::new();
        for pod in self.stores.pods.state() {
            if let Some(node) = pod.spec.node_name.as_ref().filter(|_| !is_over(&pod)) {
                let on_node = held.entry(node.clone()).or_default();
                for (resource, count) in demand(&pod) {
                    *on_node.entry(resource).or_default() += count;
                }
            }
        }
        let nodes = self.stores.nodes.state();
        nodes.iter().map(|node| plain_node(node, held.remove(&node.name_any()).unwrap_or_default())).collect()
    }

    fn claim(&self, deployment: &DeepSeekDeployment, namespace: &str) -> Option<Claim> {
        let source = deployment.spec.model.source.as_ref()?.persistent_volume_claim.as_ref()?;
        let claim = self.stores.claims.get(&ObjectRef::new(&source.claim_name).within(namespace))?;
        Some(plain_claim(&claim))
    }

    fn workload(
        &self,
        owner: &DeepSeekDeployment,
        name: &str,
        namespace: &str,
        memory: &Memory,
    ) -> Option<Arc<Deployment>> {
        let stored = self.stores.workloads.get(&ObjectRef::new(name).within(namespace));
        let newer = memory.newer_workload(name, namespace, stored.as_deref());
        newer.or(stored).filter(|workload| belonging(&workload.metadata, owner) == Belonging::Ours)
    }

    fn pods(&self, name: &str, namespace: &str) -> Vec<Pod> {
        let mine = self.stores.pods.state_filter(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && pod.metadata.labels.as_ref().and_then(|l| l.get(DEPLOYMENT_LABEL)).is_some_and(|n| n == name)
        });
        let mut pods: Vec<_> = mine.iter().filter(|pod| !is_over(pod)).map(|pod| self.plain_pod(pod)).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        pods
    }

    fn plain_pod(&self, pod: &SeenPod) -> Pod {
        Pod {
            name: pod.name_any(),
            revision: pod.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)).cloned().unwrap_or_default(),
            node: pod.spec.node_name.clone(),
            ready: is_ready(pod),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            unschedulable: unschedulable(pod),
            trouble: pod.status.container_statuses.iter().find_map(trouble),
            canary: self.canaries.of(pod),
        }
    }
}

/// Ended Pods hold nothing.
fn is_over(pod: &SeenPod) -> bool {
    matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// Whether the kubelet calls it Ready.
pub fn is_ready(pod: &SeenPod) -> bool {
    pod.status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What a Pod holds: its containers together, or its largest first container if that asks for more.
fn demand(pod: &SeenPod) -> BTreeMap<String, i64> {
    let mut total: BTreeMap<String, i64> = BTreeMap::new();
    for (resource, count) in pod.spec.containers.iter().flat_map(|c| whole_units(&c.resources.requests)) {
        *total.entry(resource.to_owned()).or_default() += count;
    }
    for (resource, count) in pod.spec.init_containers.iter().flat_map(|c| whole_units(&c.resources.requests)) {
        let held = total.entry(resource.to_owned()).or_default();
        *held = (*held).max(count);
    }
    total
}

fn plain_node(node: &SeenNode, held: BTreeMap<String, i64>) -> Node {
    let ready = node.status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    Node {
        name: node.name_any(),
        labels: node.metadata.labels.clone().unwrap_or_default(),
        taints: node.spec.taints.clone(),
        schedulable: ready && !node.spec.unschedulable,
        allocatable: whole_units(&node.status.allocatable).map(|(name, count)| (name.to_owned(), count)).collect(),
        held,
    }
}

fn plain_claim(claim: &SeenClaim) -> Claim {
    match claim.status.phase.as_deref() {
        Some("Bound") => Claim::Bound,
        Some("Lost") => Claim::Lost,
        _ => Claim::Pending,
    }
}

fn unschedulable(pod: &SeenPod) -> Option<String> {
    let condition = pod.status.conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    (condition.reason.as_deref() == Some("Unschedulable")).then(|| condition.message.clone().unwrap_or_default())
}

fn trouble(status: &SeenContainerStatus) -> Option<Trouble> {
    let waiting = status.state.waiting.as_ref();
    let message = || waiting.and_then(|w| w.message.clone()).unwrap_or_default();
    match waiting.and_then(|w| w.reason.as_deref()) {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
            Some(Trouble::Image(message()))
        }
        Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            Some(Trouble::Configuration(message()))
        }
        _ => crash(status),
    }
}

/// A container that ended and is not running well again.
fn crash(status: &SeenContainerStatus) -> Option<Trouble> {
    let ended = status
        .state
        .terminated
        .as_ref()
        .or_else(|| status.state.waiting.as_ref().and(status.last_state.terminated.as_ref()))?;
    Some(Trouble::Crashing {
        exit_code: ended.exit_code,
        restarts: status.restart_count,
        message: ended.message.clone().unwrap_or_default().trim().to_owned(),
    })
}
