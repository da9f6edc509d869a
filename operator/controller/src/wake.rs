//! Which deployments an event wakes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deepseek_core::plan::ChildKind;
use deepseek_core::render::DEPLOYMENT_LABEL;
use deepseek_crds::DeepSeekDeployment;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc::UnboundedSender;

use crate::memory::Memory;
use crate::seen::{SeenClaim, SeenNode, SeenPod, holds_accelerators, whole_units};
use crate::watch::Guarded;

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

    /// Wakes this deployment, even if it cannot be read.
    pub fn wake_one(&self, deployment: &Guarded) {
        self.wake(&deployment.name_any(), &deployment.namespace().unwrap_or_default());
    }

    /// Wakes every deployment, also those that cannot be read.
    pub fn wake_all(&self, deployments: &Store<Guarded>) {
        deployments.state().iter().for_each(|deployment| self.wake_one(deployment));
    }

    /// Wakes every deployment that passes.
    pub fn wake_if(&self, deployments: &Store<Guarded>, pass: impl Fn(&DeepSeekDeployment) -> bool) {
        for guarded in deployments.state() {
            if guarded.0.as_ref().is_ok_and(&pass) {
                self.wake_one(&guarded);
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
pub enum Change<'a, K: Resource<DynamicType = ()> + 'static> {
    /// An object is new or has changed.
    There(&'a K),
    /// An object was deleted.
    Gone(&'a K),
    /// A whole list has taken the place of what was known; anything may have changed.
    Listed(&'a Store<K>),
}

/// Which deployments a change wakes.
pub struct Wake {
    /// Sends them to the loop.
    pub waker: Waker,
    /// Forgets what is gone.
    pub memory: Arc<Memory>,
    /// All deployments.
    pub deployments: Store<Guarded>,
    /// Counts changes of nodes and of what is held on them.
    pub node_changes: Arc<AtomicU64>,
}

impl Wake {
    /// Of a child: its deployment.
    pub fn owner<K: Resource<DynamicType = ()>>(&self, kind: ChildKind) -> impl FnMut(Change<'_, K>) + Send + use<K> {
        let (waker, memory, deployments) = (self.waker.clone(), self.memory.clone(), self.deployments.clone());
        move |change| match change {
            Change::There(child) => waker.wake_owner(child),
            Change::Gone(child) => {
                memory.forget(kind, &child.namespace().unwrap_or_default(), &child.name_any());
                waker.wake_owner(child);
            }
            Change::Listed(_) => {
                memory.forget_all(kind);
                waker.wake_if(&deployments, |_| true);
            }
        }
    }

    /// Of a Pod: its deployment, and those that wait for what it holds.
    pub fn on_pod(&self) -> impl FnMut(Change<'_, SeenPod>) + Send + use<> {
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
                Change::Listed(_) => waker.wake_if(&deployments, |_| true),
            }
        }
    }

    /// Of a node: all, if it offers something else than before.
    pub fn on_node(&self) -> impl FnMut(Change<'_, SeenNode>) + Send + use<> {
        let (waker, deployments, changes) = (self.waker.clone(), self.deployments.clone(), self.node_changes.clone());
        let mut known = NodeFacts::default();
        move |change| {
            let matters = match change {
                Change::There(node) => known.changed(node),
                Change::Gone(node) => known.0.remove(&node.name_any()).is_some(),
                Change::Listed(all) => {
                    known = NodeFacts::of(all.state().iter().map(AsRef::as_ref));
                    true
                }
            };
            if matters {
                changes.fetch_add(1, Ordering::Relaxed);
                waker.wake_if(&deployments, |_| true);
            }
        }
    }

    /// Of a claim: those whose weights lie on it.
    pub fn on_claim(&self) -> impl FnMut(Change<'_, SeenClaim>) + Send + use<> {
        let (waker, deployments) = (self.waker.clone(), self.deployments.clone());
        move |change| match change {
            Change::There(claim) | Change::Gone(claim) => waker.wake_if(&deployments, |d| names(d, claim)),
            Change::Listed(_) => waker.wake_if(&deployments, |_| true),
        }
    }
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
struct NodeFacts(HashMap<String, String>);

impl NodeFacts {
    fn of<'a>(nodes: impl Iterator<Item = &'a SeenNode>) -> Self {
        Self(nodes.map(|node| (node.name_any(), facts(node))).collect())
    }

    fn changed(&mut self, node: &SeenNode) -> bool {
        let facts = facts(node);
        self.0.insert(node.name_any(), facts.clone()).as_ref() != Some(&facts)
    }
}

fn facts(node: &SeenNode) -> String {
    let offered: BTreeSet<_> = whole_units(&node.status.allocatable).collect();
    let ready = node.status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.status.as_str());
    format!("{:?}{:?}{}{ready:?}{offered:?}", node.metadata.labels, node.spec.taints, node.spec.unschedulable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_changes_nothing_and_neither_does_the_first_after_a_list() {
        let node: SeenNode = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "a", "resourceVersion": "1"},
            "status": {"allocatable": {"nvidia.com/gpu": "8"}, "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        let mut known = NodeFacts::of([&node].into_iter());
        let mut later = node.clone();
        later.metadata.resource_version = Some("2".into());
        assert!(!known.changed(&later));
        later.spec.unschedulable = true;
        assert!(known.changed(&later));
        assert!(!known.changed(&later));
    }
}
