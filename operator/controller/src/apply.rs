//! Writes what the plan says and deletes what it no longer has: server-side apply, one outcome for each object.
//!
//! *Guarantees*: one field manager; nothing is sent for an object that already is as planned; an object of the same name that
//! is not ours is left alone; deletion carries the UID that was looked at. The sweep does not wait for an apply that failed:
//! what it frees may be what the apply needs.

use std::fmt::Debug;
use std::sync::Arc;

use deepseek_core::plan::{Applied, Child, ChildKind, Outcome, Planned, Resources};
use deepseek_core::render::DEPLOYMENT_LABEL;
use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::response::StatusSummary;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::FIELD_MANAGER;
use crate::belonging::{Belonging, belonging};
use crate::covers::covers;
use crate::lease::Leading;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::watch::Stores;

/// Applies and sweeps.
pub struct Applier {
    client: Client,
    stores: Stores,
    metrics: Arc<Metrics>,
}

impl Applier {
    /// An applier that writes with this client.
    pub fn new(client: Client, stores: Stores, metrics: Arc<Metrics>) -> Self {
        Self { client, stores, metrics }
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
        // side by side: none needs another, and the API server makes Services one after the other
        let applied = planned.children.iter().map(|child| self.apply_child(leading, owner, memory, child));
        let outcomes = futures::future::join_all(applied).await;
        let left = self.sweep(leading, owner, memory, &planned.children).await;
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
        self.metrics.writes.with_label_values(&[kind_name(child.kind), result_name(&outcome)]).inc();
        outcome
    }

    /// Not forced when nothing of the name was seen: then a conflict betrays an object that is not ours, because selectors are
    /// owned as a whole.
    async fn write(&self, leading: &Leading, child: &Child, namespace: &str, memory: &Memory, force: bool) -> Outcome {
        let params = PatchParams { force, ..PatchParams::apply(FIELD_MANAGER) };
        let sent =
            self.api(leading, child.kind, namespace).patch(&child.name, &params, &Patch::Apply(&child.body)).await;
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
        planned: &[Child],
    ) -> Vec<String> {
        let namespace = owner.namespace().unwrap_or_default();
        let mut left = Vec::new();
        for kind in ChildKind::ALL.into_iter().rev() {
            for (name, uid) in self.owned(kind, owner, &namespace) {
                if planned.iter().any(|child| child.kind == kind && child.name == name) {
                    continue;
                }
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
        let Stores { services, budgets, workloads, .. } = &self.stores;
        let (stored, version) = match child.kind {
            ChildKind::Service => look_up(services, &child.name, namespace),
            ChildKind::PodDisruptionBudget => look_up(budgets, &child.name, namespace),
            ChildKind::Deployment => look_up(workloads, &child.name, namespace),
        };
        memory.newer(child.kind, &child.name, namespace, version.as_deref()).or(stored)
    }

    fn owned(&self, kind: ChildKind, owner: &DeepSeekDeployment, namespace: &str) -> Vec<(String, String)> {
        let Stores { services, budgets, workloads, .. } = &self.stores;
        match kind {
            ChildKind::Service => owned_in(services, owner, namespace),
            ChildKind::PodDisruptionBudget => owned_in(budgets, owner, namespace),
            ChildKind::Deployment => owned_in(workloads, owner, namespace),
        }
    }
}

fn look_up<K>(store: &Store<K>, name: &str, namespace: &str) -> (Option<Value>, Option<String>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Serialize + 'static,
{
    let found = store.get(&ObjectRef::new(name).within(namespace));
    let version = found.as_ref().and_then(|object| object.resource_version());
    (found.and_then(|object| serde_json::to_value(&*object).ok()), version)
}

fn metadata(object: &Value) -> ObjectMeta {
    ObjectMeta::deserialize(&object["metadata"]).unwrap_or_default()
}

fn owned_in<K>(store: &Store<K>, owner: &DeepSeekDeployment, namespace: &str) -> Vec<(String, String)>
where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
{
    let uid = owner.uid().unwrap_or_default();
    let mine = store.state_filter(|object| {
        object.namespace().as_deref() == Some(namespace)
            && object.labels().get(DEPLOYMENT_LABEL) == owner.metadata.name.as_ref()
            && object
                .owner_references()
                .iter()
                .any(|reference| reference.controller == Some(true) && reference.uid == uid)
            && object.meta().deletion_timestamp.is_none()
    });
    mine.iter().map(|object| (object.name_any(), object.uid().unwrap_or_default())).collect()
}

fn api_resource(kind: ChildKind) -> ApiResource {
    match kind {
        ChildKind::Service => ApiResource::erase::<Service>(&()),
        ChildKind::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
        ChildKind::Deployment => ApiResource::erase::<Deployment>(&()),
    }
}

fn kind_name(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::Service => "Service",
        ChildKind::PodDisruptionBudget => "PodDisruptionBudget",
        ChildKind::Deployment => "Deployment",
    }
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
