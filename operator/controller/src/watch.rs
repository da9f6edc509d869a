//! Which resources are watched, and what is kept of them.
//!
//! Every stream is a task with a back-off of its own: an error on one never delays another. A store that is not filled yet is
//! named by `/readyz`, and nothing is written before all of them are.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::seen::{SeenClaim, SeenNode, SeenPod, holds_accelerators, prune};
use crate::wake::{Change, Wake, Waker};

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
    let deployments =
        start.stream("deepseekdeployments", watcher::Config::default(), keep_all, move |change| match change {
            Change::There(object) | Change::Gone(object) => own_waker.wake_one(object),
            Change::Listed(all) => own_waker.wake_all(all),
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
        let (metrics, all) = (self.metrics.clone(), reader.clone());
        self.tasks.spawn(async move {
            let stream = watcher(api, config.timeout(WATCH_SECONDS)).default_backoff().modify(prune);
            futures::pin_mut!(stream);
            while let Some(event) = stream.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        metrics.watch_errors.with_label_values(&[name]).inc();
                        tracing::warn!(stream = name, %error, "watch interrupted; it is tried again");
                        continue;
                    }
                };
                let Some(event) = of_interest(event, keep, &all) else { continue };
                writer.apply_watcher_event(&event);
                match &event {
                    watcher::Event::Apply(object) => wake(Change::There(object)),
                    watcher::Event::Delete(object) => wake(Change::Gone(object)),
                    watcher::Event::InitDone => wake(Change::Listed(&all)),
                    watcher::Event::Init | watcher::Event::InitApply(_) => {}
                }
            }
        });
        reader
    }
}

/// The event, unless it is about an object that is not kept. One that was kept until now is gone, as far as we are concerned.
fn of_interest<K>(event: watcher::Event<K>, keep: fn(&K) -> bool, known: &Store<K>) -> Option<watcher::Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    match event {
        watcher::Event::Apply(object) if !keep(&object) => {
            known.get(&ObjectRef::from_obj(&object)).map(|before| watcher::Event::Delete((*before).clone()))
        }
        watcher::Event::InitApply(object) if !keep(&object) => None,
        event => Some(event),
    }
}

fn keep_all<K>(_: &K) -> bool {
    true
}

/// Other people's Pods matter only for the accelerators they hold, which cannot change while they live.
fn keep_pod(pod: &SeenPod) -> bool {
    pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(DEPLOYMENT_LABEL)) || holds_accelerators(pod)
}
