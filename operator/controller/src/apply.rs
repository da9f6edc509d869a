//! Writes what the plan says and deletes what it no longer has: server-side apply, one outcome for each object.
//!
//! *Guarantees*: one field manager; nothing is sent for an object that already is as planned; an object of the same name that
//! is not ours is left alone; deletion carries the UID that was looked at. The sweep does not wait for an apply that failed:
//! what it frees may be what the apply needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use deepseek_core::decide::node_loss::Removal;
use deepseek_core::plan::{Applied, Child, ChildKind, Outcome, Planned, Resources, Sweep};
use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::core::response::StatusSummary;
use kube::{Client, ResourceExt};
use serde::Deserialize;
use serde_json::Value;

use crate::FIELD_MANAGER;
use crate::belonging::{Belonging, belonging};
use crate::children::{Children, api_resource};
use crate::covers::covers;
use crate::keep_off::Guard;
use crate::lease::Leading;
use crate::memory::Memory;
use crate::metrics::Metrics;

/// Applies and sweeps.
pub struct Applier {
    client: Client,
    children: Children,
    guard: Guard,
    metrics: Arc<Metrics>,
}

impl Applier {
    /// An applier that writes with this client.
    pub fn new(client: Client, children: Children, guard: Guard, metrics: Arc<Metrics>) -> Self {
        Self { client, children, guard, metrics }
    }

    /// Brings every planned object about, then deletes those that are no longer planned; the second value names what could not
    /// be deleted.
    pub async fn apply(
        &self,
        leading: &Leading,
        owner: &DeepSeekDeployment,
        memory: &Memory,
        planned: Resources<Planned>,
    ) -> (Resources<Applied>, Vec<String>) {
        // what others refer to goes first: a binding is refused without its role, a Pod without its account. The rest side by side:
        // none needs another, and the API server makes Services one after the other
        let first = planned.children.partition_point(|child| child.kind.is_referred_to());
        let mut outcomes = Vec::with_capacity(planned.children.len());
        for wave in [&planned.children[..first], &planned.children[first..]] {
            let applied = wave.iter().map(|child| self.apply_child(leading, owner, memory, child));
            outcomes.extend(futures::future::join_all(applied).await);
        }
        let left = self.sweep(leading, owner, memory, &planned).await;
        (planned.applied(outcomes), left)
    }

    async fn apply_child(
        &self,
        leading: &Leading,
        owner: &DeepSeekDeployment,
        memory: &Memory,
        child: &Child,
    ) -> Outcome {
        let namespace = owner.namespace().unwrap_or_default();
        let stored = self.stored(child, &namespace, memory);
        let force = match stored.as_ref().map(|object| (belonging(&metadata(object), owner), object)) {
            Some((Belonging::Ours, object)) if covers(&child.body, object) => return Outcome::Unchanged,
            Some((Belonging::Ours, _)) => true,
            Some((Belonging::OfPredecessor, _)) => {
                return Outcome::Failed {
                    message: format!("{} {} of a deleted deployment is still there", kind_name(child.kind), child.name),
                    transient: true,
                };
            }
            Some((Belonging::Foreign, _)) => return Outcome::NameTaken,
            None => false,
        };
        let outcome = self.write(leading, child, &namespace, memory, force).await;
        self.metrics.writes.with_label_values(&[kind_name(child.kind).as_str(), result_name(&outcome)]).inc();
        outcome
    }

    /// Not forced when nothing of the name was seen: then a conflict betrays an object that is not ours, because selectors, rules and
    /// subjects are owned as a whole. Accounts and ConfigMaps have nothing of the kind, so they are created.
    async fn write(&self, leading: &Leading, child: &Child, namespace: &str, memory: &Memory, force: bool) -> Outcome {
        let api = self.api(leading, child.kind, namespace);
        let sent = if !force && matches!(child.kind, ChildKind::ServiceAccount | ChildKind::ConfigMap) {
            create(&api, child).await
        } else {
            let params = PatchParams { force, ..PatchParams::apply(FIELD_MANAGER) };
            api.patch(&child.name, &params, &Patch::Apply(&child.body)).await
        };
        match sent {
            Ok(object) => {
                memory.remember(child.kind, namespace, serde_json::to_value(&object).unwrap_or_default());
                Outcome::Written
            }
            Err(kube::Error::Api(status)) if status.code == 409 && !force => Outcome::NameTaken,
            Err(error) => failure(&error),
        }
    }

    async fn sweep(
        &self,
        leading: &Leading,
        owner: &DeepSeekDeployment,
        memory: &Memory,
        planned: &Resources<Planned>,
    ) -> Vec<String> {
        let namespace = owner.namespace().unwrap_or_default();
        let is_planned =
            |kind, name: &str| planned.children.iter().any(|child| child.kind == kind && child.name == name);
        let stays = |kind, name: &str| match planned.sweep {
            Sweep::Others => is_planned(kind, name),
            Sweep::Engine | Sweep::Slices if kind == ChildKind::EndpointSlice => is_planned(kind, name),
            Sweep::Engine => kind != ChildKind::Deployment || name != owner.name_any(),
            Sweep::Slices => true,
        };
        let mut left = Vec::new();
        for kind in ChildKind::ALL.into_iter().rev() {
            let there = self.children.get(&kind).map(|store| store.owned_by(owner)).unwrap_or_default();
            for (name, uid) in there.into_iter().filter(|(name, _)| !stays(kind, name)) {
                let params = DeleteParams {
                    preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
                    ..DeleteParams::background()
                };
                memory.forget(kind, &namespace, &name);
                match self.api(leading, kind, &namespace).delete(&name, &params).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => left.push(format!("{} {name}: {error}", kind_name(kind))),
                }
            }
        }
        left
    }

    fn api(&self, _: &Leading, kind: ChildKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &api_resource(kind))
    }

    fn stored(&self, child: &Child, namespace: &str, memory: &Memory) -> Option<Value> {
        let (stored, version) =
            self.children.get(&child.kind).map_or((None, None), |store| store.find(&child.name, namespace));
        memory.newer(child.kind, &child.name, namespace, version.as_deref()).or(stored)
    }

    /// Makes Pods give way whose node is lost, after others have been told to keep off it; returns what went wrong.
    pub async fn remove(&self, leading: &Leading, namespace: &str, removals: &[Removal]) -> Vec<String> {
        let nodes: BTreeSet<_> = removals.iter().filter_map(|removal| removal.node.as_deref()).collect();
        for node in nodes {
            if let Err(error) = self.guard.keep_off(leading, node).await {
                return vec![format!("Node {node}: {error}")];
            }
        }
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        for removal in removals {
            self.metrics.removals.with_label_values(&[if removal.force { "true" } else { "false" }]).inc();
        }
        let removed = removals.iter().map(|removal| remove(&pods, removal));
        futures::future::join_all(removed).await.into_iter().filter_map(Result::err).collect()
    }
}

async fn create(api: &Api<DynamicObject>, child: &Child) -> kube::Result<DynamicObject> {
    let object = DynamicObject::deserialize(&child.body).map_err(kube::Error::SerdeError)?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    api.create(&params, &object).await
}

/// One that is gone already, or another by now, is as good as removed.
async fn remove(pods: &Api<Pod>, removal: &Removal) -> Result<(), String> {
    let Removal { pod, uid, node: _, force } = removal;
    let params = DeleteParams {
        grace_period_seconds: force.then_some(0),
        preconditions: Some(Preconditions { uid: Some(uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    match pods.delete(pod, &params).await {
        Ok(_) => {
            tracing::warn!(pod, force, "Pod on a lost node gives way");
            Ok(())
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(format!("Pod {pod}: {error}")),
    }
}

fn metadata(object: &Value) -> ObjectMeta {
    ObjectMeta::deserialize(&object["metadata"]).unwrap_or_default()
}

fn kind_name(kind: ChildKind) -> String {
    format!("{kind:?}")
}

fn result_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Written => "written",
        Outcome::NameTaken => "name_taken",
        Outcome::Failed { .. } => "failed",
    }
}

/// A refusal by the API server stays one until somebody changes something; all else may pass by itself.
pub fn failure(error: &kube::Error) -> Outcome {
    match error {
        kube::Error::Api(status) => {
            Outcome::Failed { message: told(status), transient: !matches!(status.code, 400 | 403 | 404 | 405 | 422) }
        }
        other => Outcome::Failed { message: other.to_string(), transient: true },
    }
}

fn told(status: &kube::core::Status) -> String {
    match &status.status {
        Some(StatusSummary::Failure) | None => format!("{} ({} {})", status.message, status.reason, status.code),
        Some(StatusSummary::Success) => status.message.clone(),
    }
}
