//! Which resources are watched, and what is kept of them.
//!
//! Every stream is a task with a back-off of its own: an error on one never delays another. A store that is not filled yet is
//! named by `/readyz`, and nothing is written before all of them are.

use std::fmt::{Debug, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use deepseek_core::plan::ChildKind;
use deepseek_core::render::held::MANAGED_BY;
use deepseek_core::render::{DEPLOYMENT_LABEL, MANAGER, managed_selector};
use deepseek_crds::DeepSeekDeployment;
use futures::{FutureExt, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::children::{Children, Kept, plural};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::packed::Packed;
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
    /// Deployments of engines and gateways.
    pub workloads: Store<Packed<Deployment>>,
    /// Services.
    pub services: Store<Packed<Service>>,
    /// Every kind of children, these two included.
    pub children: Children,
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
        let children = self.children.iter().map(|(kind, store)| (plural(*kind), store.filled()));
        let others = [
            ("deepseekdeployments", self.deployments.wait_until_ready().map(drop).boxed()),
            ("pods", self.pods.wait_until_ready().map(drop).boxed()),
            ("nodes", self.nodes.wait_until_ready().map(drop).boxed()),
            ("persistentvolumeclaims", self.claims.wait_until_ready().map(drop).boxed()),
        ];
        let all = others.into_iter().chain(children);
        all.filter_map(|(name, filled)| filled.now_or_never().is_none().then_some(name)).collect()
    }

    /// Waits until every first list is complete.
    pub async fn filled(&self) {
        let Self { deployments, workloads: _, services: _, children, pods, nodes, claims, node_changes: _ } = self;
        let _ = tokio::join!(
            deployments.wait_until_ready(),
            pods.wait_until_ready(),
            nodes.wait_until_ready(),
            claims.wait_until_ready(),
            futures::future::join_all(children.values().map(|store| store.filled())),
        );
    }
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
    let workloads = start.children::<Deployment>(ChildKind::Deployment, &wake);
    let services = start.children::<Service>(ChildKind::Service, &wake);
    let children: Children = [
        (ChildKind::ServiceAccount, start.kept::<ServiceAccount>(ChildKind::ServiceAccount, &wake)),
        (ChildKind::Role, start.kept::<Role>(ChildKind::Role, &wake)),
        (ChildKind::RoleBinding, start.kept::<RoleBinding>(ChildKind::RoleBinding, &wake)),
        (ChildKind::ConfigMap, start.kept::<ConfigMap>(ChildKind::ConfigMap, &wake)),
        (ChildKind::NetworkPolicy, start.kept::<NetworkPolicy>(ChildKind::NetworkPolicy, &wake)),
        (ChildKind::EndpointSlice, start.kept::<EndpointSlice>(ChildKind::EndpointSlice, &wake)),
        (ChildKind::PodDisruptionBudget, start.kept::<PodDisruptionBudget>(ChildKind::PodDisruptionBudget, &wake)),
        (ChildKind::Service, Arc::new(services.clone())),
        (ChildKind::Deployment, Arc::new(workloads.clone())),
    ]
    .into();
    Stores {
        workloads,
        services,
        children,
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
    fn kept<K>(&mut self, kind: ChildKind, wake: &Wake) -> Arc<dyn Kept>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + 'static,
    {
        Arc::new(self.children::<K>(kind, wake))
    }

    fn children<K>(&mut self, kind: ChildKind, wake: &Wake) -> Store<Packed<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + 'static,
    {
        let mut selector = managed_selector();
        if kind == ChildKind::EndpointSlice {
            // Kubernetes' own slices bear the labels of their Service, too
            let _ = write!(selector, ",{MANAGED_BY}={MANAGER}");
        }
        let managed = watcher::Config::default().labels(&selector);
        self.stream(plural(kind), managed, keep_all, wake.owner::<Packed<K>>(kind))
    }

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
