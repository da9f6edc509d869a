//! From the stores to one plain value. Nothing here asks the API server or an engine: all of it is kept fresh by other tasks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use deepseek_core::observed::{Claim, Component, Node, Observed, Pod, Settings, Trouble};
use deepseek_core::render::service::leads_to;
use deepseek_core::render::{COMPONENT_LABEL, DEPLOYMENT_LABEL, REVISION_LABEL};
use deepseek_crds::DeepSeekDeployment;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::belonging::{Belonging, belonging};
use crate::memory::Memory;
use crate::ours::{is_led_to, is_ready};
use crate::scaler::Scalings;
use crate::seen::{SeenClaim, SeenContainer, SeenContainerStatus, SeenNode, SeenPod, whole_units};
use crate::sentry::Canaries;
use crate::silence::Silences;
use crate::watch::Stores;

/// The observer: stores, and what is worth keeping between two looks.
pub struct Observer {
    stores: Stores,
    canaries: Canaries,
    silences: Silences,
    scalings: Scalings,
    settings: Arc<Settings>,
    nodes: Mutex<Nodes>,
}

/// Nodes as they were counted last.
#[derive(Default)]
struct Nodes {
    /// What `Stores::node_changes` said then.
    changes: Option<u64>,
    list: Arc<[Arc<Node>]>,
    /// By name: what each was made from. Labels are long, and hardly ever is more than one node another than before.
    made: HashMap<String, (Arc<SeenNode>, Arc<Node>)>,
}

impl Nodes {
    fn count(&mut self, stores: &Stores) {
        let pods = stores.pods.state();
        let mut held = held_by_node(&pods);
        let made = stores.nodes.state().into_iter().map(|seen| {
            let name = seen.name_any();
            let held = held.remove(name.as_str()).unwrap_or_default();
            let same = |(from, node): &&(Arc<SeenNode>, Arc<Node>)| Arc::ptr_eq(from, &seen) && node.held == held;
            let kept = self.made.get(&name).filter(same).map(|(_, node)| node.clone());
            let node = kept.unwrap_or_else(|| Arc::new(plain_node(&seen, held)));
            (name, (seen, node))
        });
        let made: HashMap<_, _> = made.collect();
        self.list = made.values().map(|(_, node)| node.clone()).collect();
        self.made = made;
    }
}

/// Countable resources that Pods hold, by the node they are on.
fn held_by_node(pods: &[Arc<SeenPod>]) -> HashMap<&str, BTreeMap<String, i64>> {
    let mut held: HashMap<&str, BTreeMap<String, i64>> = HashMap::new();
    for pod in pods {
        if let Some(node) = pod.spec.node_name.as_deref().filter(|_| !is_over(pod)) {
            let on_node = held.entry(node).or_default();
            for (resource, count) in demand(pod) {
                *on_node.entry(resource).or_default() += count;
            }
        }
    }
    held
}

impl Observer {
    /// An observer of these stores.
    pub fn new(
        stores: Stores,
        canaries: Canaries,
        silences: Silences,
        scalings: Scalings,
        settings: Arc<Settings>,
    ) -> Self {
        Self { stores, canaries, silences, scalings, settings, nodes: Mutex::default() }
    }

    /// Everything around one deployment, at this moment.
    pub fn observe(&self, deployment: &DeepSeekDeployment, memory: &Memory) -> Observed {
        let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
        Observed {
            now: Timestamp::now(),
            nodes: self.nodes(),
            watch: self.silences.watch(),
            claim: self.claim(deployment, &namespace),
            workload: self.workload(deployment, &name, &namespace, memory),
            leads_to: self.leads_to(&name, &namespace),
            pods: self.pods(&name, &namespace, Component::Engine),
            gateways: self.pods(&name, &namespace, Component::Gateway),
            scaling: deployment.spec.autoscaling.as_ref().and_then(|_| self.scalings.of(deployment)),
            settings: self.settings.clone(),
        }
    }

    /// Counted again only after a node, or what is held on one, has changed: there are many deployments and many Pods.
    fn nodes(&self) -> Arc<[Arc<Node>]> {
        let changes = self.stores.node_changes.load(Ordering::Relaxed);
        let mut kept = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.changes != Some(changes) {
            kept.count(&self.stores);
            kept.changes = Some(changes);
        }
        kept.list.clone()
    }

    fn claim(&self, deployment: &DeepSeekDeployment, namespace: &str) -> Option<Claim> {
        let source = deployment.spec.model.source.as_ref()?.persistent_volume_claim.as_ref()?;
        let claim = self.stores.claims.get(&ObjectRef::new(&source.claim_name).within(namespace))?;
        Some(plain_claim(&claim))
    }

    fn leads_to(&self, name: &str, namespace: &str) -> Option<Component> {
        let service = self.stores.services.get(&ObjectRef::new(name).within(namespace))?;
        leads_to(&service.typed()?)
    }

    fn workload(&self, owner: &DeepSeekDeployment, name: &str, namespace: &str, memory: &Memory) -> Option<Deployment> {
        let stored = self.stores.workloads.get(&ObjectRef::new(name).within(namespace));
        let version = stored.as_ref().and_then(|packed| packed.resource_version());
        let newer = memory.newer_workload(name, namespace, version.as_deref());
        newer.or_else(|| stored?.typed()).filter(|workload| belonging(&workload.metadata, owner) == Belonging::Ours)
    }

    fn pods(&self, name: &str, namespace: &str, component: Component) -> Vec<Pod> {
        let mine = self.stores.pods.state_filter(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && pod.labels().get(DEPLOYMENT_LABEL).is_some_and(|owner| owner == name)
                && pod.labels().get(COMPONENT_LABEL).is_some_and(|label| label == component.as_str())
        });
        let mut pods: Vec<_> = mine.iter().filter(|pod| !is_over(pod)).map(|pod| self.plain_pod(pod)).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        pods
    }

    fn plain_pod(&self, pod: &SeenPod) -> Pod {
        Pod {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            revision: pod.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)).cloned().unwrap_or_default(),
            node: pod.spec.node_name.clone(),
            held: demand(pod),
            ready: is_ready(pod),
            led_to: is_led_to(pod),
            address: pod.status.pod_ip.clone(),
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

/// What a Pod holds, by the scheduler's rule: its containers and sidecars together; or, if that is more, the largest of the
/// containers that run first, with the sidecars that were started before it.
fn demand(pod: &SeenPod) -> BTreeMap<String, i64> {
    let (mut sidecars, mut most_at_first) = (BTreeMap::new(), BTreeMap::new());
    for container in &pod.spec.init_containers {
        let mut now = sidecars.clone();
        add(&mut now, container);
        if container.is_sidecar() {
            sidecars.clone_from(&now);
        }
        raise(&mut most_at_first, now);
    }
    let mut total = sidecars;
    pod.spec.containers.iter().for_each(|container| add(&mut total, container));
    raise(&mut total, most_at_first);
    total
}

fn add(held: &mut BTreeMap<String, i64>, container: &SeenContainer) {
    for (resource, count) in whole_units(&container.resources.requests) {
        *held.entry(resource.to_owned()).or_default() += count;
    }
}

fn raise(held: &mut BTreeMap<String, i64>, at_least: BTreeMap<String, i64>) {
    for (resource, count) in at_least {
        let held = held.entry(resource).or_default();
        *held = (*held).max(count);
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GPU: &str = "nvidia.com/gpu";

    fn runs_first(count: i64) -> Value {
        json!({"resources": {"requests": {GPU: count.to_string(), "cpu": "1"}}})
    }

    fn sidecar(count: i64) -> Value {
        json!({"restartPolicy": "Always", "resources": {"requests": {GPU: count.to_string()}}})
    }

    fn held(first: &[Value], then: &[i64]) -> i64 {
        let then: Vec<_> = then.iter().map(|count| runs_first(*count)).collect();
        let pod =
            serde_json::from_value(json!({"metadata": {}, "spec": {"initContainers": first, "containers": then}}));
        let held = demand(&pod.unwrap());
        assert!(held.keys().all(|resource| resource == GPU), "processors are not counted: {held:?}");
        held.get(GPU).copied().unwrap_or(0)
    }

    #[test]
    fn a_pod_holds_what_the_scheduler_counts() {
        let cases: [(&[Value], &[i64], i64, &str); 9] = [
            (&[], &[], 0, "nothing"),
            (&[], &[2, 1], 3, "containers together"),
            (&[runs_first(2)], &[3], 3, "one that runs first gives back what it had"),
            (&[runs_first(5), runs_first(4)], &[3], 5, "the largest of those that run first"),
            (&[sidecar(1)], &[3], 4, "a sidecar stays"),
            (&[sidecar(1), sidecar(2)], &[3], 6, "and so do two"),
            (&[sidecar(1), runs_first(4)], &[3], 5, "one that runs first beside an earlier sidecar"),
            (&[runs_first(4), sidecar(1)], &[2], 4, "a later sidecar is not beside it"),
            (&[sidecar(1), runs_first(4), sidecar(2)], &[3], 6, "both sidecars beside the container are more"),
        ];
        for (first, then, expected, what) in cases {
            assert_eq!(held(first, then), expected, "{what}");
        }
    }
}
