//! Which resources are watched, what is kept of them, and which deployments an event wakes.
//!
//! Every stream is a task with a back-off of its own: an error on one never delays another. A store that is not filled yet is
//! named by `/readyz`, and nothing is written before all of them are.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deepseek_core::plan::ChildKind;
use deepseek_core::render::{DEPLOYMENT_LABEL, managed_selector};
use deepseek_crds::DeepSeekDeployment;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::seen::{SeenClaim, SeenNode, SeenPod, prune, whole_units};

/// A deployment as it is stored, even if it cannot be read.
pub type Guarded = DeserializeGuard<DeepSeekDeployment>;

/// Seconds after which the server ends a watch: a silently dropped connection is noticed within this time. Nothing relies on a
/// watch to detect a failure.
const WATCH_SECONDS: u32 = 180;

/// Local copies of everything that decisions look at.
#[derive(Clone)]
pub struct Stores {
    /// Deployments of models.
    pub deployments: Store<Guarded>,
    /// Deployments of engines.
    pub workloads: Store<Deployment>,
    /// Services.
    pub services: Store<Service>,
    /// Disruption budgets.
    pub budgets: Store<PodDisruptionBudget>,
    /// Pods that hold accelerators, and the engines' own.
    pub pods: Store<SeenPod>,
    /// Nodes.
    pub nodes: Store<SeenNode>,
    /// Persistent volume claims.
    pub claims: Store<SeenClaim>,
    /// Counts changes of nodes and of what is held on them.
    pub node_changes: Arc<AtomicU64>,
}

impl Stores {
    /// Names of the streams whose first list is not complete yet.
    pub fn missing(&self) -> Vec<&'static str> {
        let ready = [
            ("deepseekdeployments", is_ready(&self.deployments)),
            ("deployments", is_ready(&self.workloads)),
            ("services", is_ready(&self.services)),
            ("poddisruptionbudgets", is_ready(&self.budgets)),
            ("pods", is_ready(&self.pods)),
            ("nodes", is_ready(&self.nodes)),
            ("persistentvolumeclaims", is_ready(&self.claims)),
        ];
        ready.into_iter().filter(|(_, ready)| !ready).map(|(name, _)| name).collect()
    }

    /// Waits until every first list is complete.
    pub async fn filled(&self) {
        let Self { deployments, workloads, services, budgets, pods, nodes, claims, node_changes: _ } = self;
        let _ = tokio::join!(
            deployments.wait_until_ready(),
            workloads.wait_until_ready(),
            services.wait_until_ready(),
            budgets.wait_until_ready(),
            pods.wait_until_ready(),
            nodes.wait_until_ready(),
            claims.wait_until_ready(),
        );
    }
}

/// `wait_until_ready` is the only question a store answers about itself; asked once, without waiting.
fn is_ready<K>(store: &Store<K>) -> bool
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    use futures::FutureExt;
    store.wait_until_ready().now_or_never().is_some_and(|r| r.is_ok())
}

/// Sends deployments to the loop.
#[derive(Clone)]
pub struct Waker {
    queue: UnboundedSender<ObjectRef<Guarded>>,
}

impl Waker {
    /// A waker that sends to this queue.
    pub fn new(queue: UnboundedSender<ObjectRef<Guarded>>) -> Self {
        Self { queue }
    }

    /// Wakes one deployment. It is lost when the loop has ended, and then nobody needs it.
    pub fn wake(&self, name: &str, namespace: &str) {
        let _ = self.queue.send(ObjectRef::new(name).within(namespace));
    }

    /// Wakes every deployment, also those that cannot be read.
    pub fn wake_all(&self, deployments: &Store<Guarded>) {
        for guarded in deployments.state() {
            self.wake(&guarded.name_any(), &guarded.namespace().unwrap_or_default());
        }
    }

    /// Wakes every deployment that passes.
    pub fn wake_if(&self, deployments: &Store<Guarded>, pass: impl Fn(&DeepSeekDeployment) -> bool) {
        for guarded in deployments.state() {
            if guarded.0.as_ref().is_ok_and(&pass) {
                self.wake(&guarded.name_any(), &guarded.namespace().unwrap_or_default());
            }
        }
    }

    fn wake_owner<K: Resource>(&self, child: &K) {
        let meta = child.meta();
        if let Some(name) = meta.labels.as_ref().and_then(|labels| labels.get(DEPLOYMENT_LABEL)) {
            self.wake(name, meta.namespace.as_deref().unwrap_or_default());
        }
    }
}

/// What a stream tells.
enum Change<'a, K> {
    /// An object is new or has changed.
    There(&'a K),
    /// An object was deleted.
    Gone(&'a K),
    /// A whole list has taken the place of what was known; anything may have changed.
    Listed,
}

/// Starts every stream.
pub fn watch(
    client: &Client,
    waker: &Waker,
    memory: &Arc<Memory>,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) -> Stores {
    let mut start = Start { client, metrics, tasks };
    let own_waker = waker.clone();
    let deployments = start.stream("deepseekdeployments", watcher::Config::default(), keep_all, move |change| {
        // a list is woken by the loop, which starts with every deployment
        if let Change::There(object) | Change::Gone(object) = change {
            let object: &Guarded = object;
            own_waker.wake(&object.name_any(), &object.namespace().unwrap_or_default());
        }
    });
    let (waker, memory) = (waker.clone(), memory.clone());
    let wake = Wake { waker, memory, deployments: deployments.clone(), node_changes: Arc::default() };
    let managed = || watcher::Config::default().labels(&managed_selector());
    Stores {
        workloads: start.stream("deployments", managed(), keep_all, wake.owner::<Deployment>(ChildKind::Deployment)),
        services: start.stream("services", managed(), keep_all, wake.owner::<Service>(ChildKind::Service)),
        budgets: start.stream(
            "poddisruptionbudgets",
            managed(),
            keep_all,
            wake.owner::<PodDisruptionBudget>(ChildKind::PodDisruptionBudget),
        ),
        pods: start.stream("pods", watcher::Config::default(), keep_pod, wake.on_pod()),
        nodes: start.stream("nodes", watcher::Config::default(), keep_all, wake.on_node()),
        claims: start.stream("persistentvolumeclaims", watcher::Config::default(), keep_all, wake.on_claim()),
        node_changes: wake.node_changes,
        deployments,
    }
}

/// Which deployments a change wakes.
struct Wake {
    waker: Waker,
    memory: Arc<Memory>,
    deployments: Store<Guarded>,
    node_changes: Arc<AtomicU64>,
}

impl Wake {
    fn owner<K: Resource>(&self, kind: ChildKind) -> impl FnMut(Change<'_, K>) + Send + use<K> {
        let (waker, memory, deployments) = (self.waker.clone(), self.memory.clone(), self.deployments.clone());
        move |change| match change {
            Change::There(child) => waker.wake_owner(child),
            Change::Gone(child) => {
                memory.forget(kind, &child.namespace().unwrap_or_default(), &child.name_any());
                waker.wake_owner(child);
            }
            Change::Listed => {
                memory.forget_all(kind);
                waker.wake_if(&deployments, |_| true);
            }
        }
    }

    fn on_pod(&self) -> impl FnMut(Change<'_, SeenPod>) + Send + use<> {
        let (waker, deployments, changes) = (self.waker.clone(), self.deployments.clone(), self.node_changes.clone());
        move |change| {
            changes.fetch_add(1, Ordering::Relaxed);
            match change {
                Change::There(pod) | Change::Gone(pod) => {
                    waker.wake_owner(pod);
                    if holds_accelerators(pod) {
                        waker.wake_if(&deployments, waits_for_a_place);
                    }
                }
                Change::Listed => waker.wake_if(&deployments, |_| true),
            }
        }
    }

    fn on_node(&self) -> impl FnMut(Change<'_, SeenNode>) + Send + use<> {
        let (waker, deployments, changes) = (self.waker.clone(), self.deployments.clone(), self.node_changes.clone());
        let mut known = NodeFacts::default();
        move |change| {
            let matters = match change {
                Change::There(node) => known.changed(node),
                Change::Gone(node) => known.0.remove(&node.name_any()).is_some(),
                Change::Listed => true,
            };
            if matters {
                changes.fetch_add(1, Ordering::Relaxed);
                waker.wake_if(&deployments, |_| true);
            }
        }
    }

    fn on_claim(&self) -> impl FnMut(Change<'_, SeenClaim>) + Send + use<> {
        let (waker, deployments) = (self.waker.clone(), self.deployments.clone());
        move |change| match change {
            Change::There(claim) | Change::Gone(claim) => waker.wake_if(&deployments, |d| names(d, claim)),
            Change::Listed => waker.wake_if(&deployments, |_| true),
        }
    }
}

struct Start<'a> {
    client: &'a Client,
    metrics: &'a Arc<Metrics>,
    tasks: &'a mut JoinSet<()>,
}

impl Start<'_> {
    fn stream<K, Scope>(
        &mut self,
        name: &'static str,
        config: watcher::Config,
        keep: fn(&K) -> bool,
        mut wake: impl FnMut(Change<'_, K>) + Send + 'static,
    ) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = Scope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (reader, mut writer) = store::<K>();
        let api = Api::<K>::all(self.client.clone());
        let metrics = self.metrics.clone();
        self.tasks.spawn(async move {
            let stream = watcher(api, config.timeout(WATCH_SECONDS)).default_backoff().modify(prune);
            futures::pin_mut!(stream);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) if !keep(&object) => {}
                    Ok(event) => {
                        writer.apply_watcher_event(&event);
                        match &event {
                            watcher::Event::Apply(object) => wake(Change::There(object)),
                            watcher::Event::Delete(object) => wake(Change::Gone(object)),
                            watcher::Event::InitDone => wake(Change::Listed),
                            watcher::Event::Init | watcher::Event::InitApply(_) => {}
                        }
                    }
                    Err(error) => {
                        metrics.watch_errors.with_label_values(&[name]).inc();
                        tracing::warn!(stream = name, %error, "watch interrupted; it is tried again");
                    }
                }
            }
        });
        reader
    }
}

fn keep_all<K>(_: &K) -> bool {
    true
}

/// Other people's Pods matter only for the accelerators they hold, which cannot change while they live.
fn keep_pod(pod: &SeenPod) -> bool {
    pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(DEPLOYMENT_LABEL)) || holds_accelerators(pod)
}

fn holds_accelerators(pod: &SeenPod) -> bool {
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    containers.flat_map(|c| whole_units(&c.resources.requests)).any(|(_, count)| count > 0)
}

/// Whether what others hold matters to it: it is not placed, or not all of it is.
fn waits_for_a_place(deployment: &DeepSeekDeployment) -> bool {
    let conditions = deployment.status.iter().flat_map(|status| &status.conditions);
    !conditions.into_iter().any(|condition| condition.type_ == "Placed" && condition.status == "True")
}

fn names(deployment: &DeepSeekDeployment, claim: &SeenClaim) -> bool {
    let source = deployment.spec.model.source.as_ref().and_then(|s| s.persistent_volume_claim.as_ref());
    deployment.metadata.namespace == claim.metadata.namespace
        && source.map(|s| s.claim_name.as_str()) == claim.metadata.name.as_deref()
}

/// What of a node decisions depend on; its heartbeats change nothing of it.
#[derive(Default)]
struct NodeFacts(std::collections::HashMap<String, String>);

impl NodeFacts {
    fn changed(&mut self, node: &SeenNode) -> bool {
        let offered: BTreeSet<_> = whole_units(&node.status.allocatable).collect();
        let ready = node.status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.status.as_str());
        let facts =
            format!("{:?}{:?}{}{ready:?}{offered:?}", node.metadata.labels, node.spec.taints, node.spec.unschedulable);
        self.0.insert(node.name_any(), facts.clone()).as_ref() != Some(&facts)
    }
}
