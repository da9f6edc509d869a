//! Somebody deletes or edits what belongs to a deployment.

use std::collections::BTreeSet;
use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::deployed::{STARTED, TOLD};
use crate::fixtures::{TINY, simulated};
use crate::namespace::Namespace;
use crate::wait::eventually;

/// Each of them comes back as it was planned, and in the end all is well.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let chat = namespace.apply(&simulated("chat")).await?;
    chat.is_ready().await?;
    let mut wrong = Vec::new();
    for done in [of_the_service(&namespace).await, of_the_budget(&namespace).await, of_the_workload(&namespace).await] {
        wrong.extend(done.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    chat.is_ready().await?;
    // the forwarder of a lab keeps to the address of the Service that was deleted
    if let Some(lab) = namespace.world.cluster.lab() {
        lab.unforward(&namespace.name, "chat", 8000).await?;
    }
    chat.answers(TINY).await.map(drop)
}

async fn of_the_service(namespace: &Namespace) -> Vec<Result<()>> {
    let edits = [
        json!({"spec": {"selector": {"app.kubernetes.io/component": "other"}}}),
        json!({"metadata": {"labels": {"app.kubernetes.io/instance": "other"}}}),
        // a further word makes the Service select nothing
        json!({"spec": {"selector": {"stolen": "yes"}}}),
    ];
    vec![edited::<Service>(namespace, &edits).await, deleted::<Service>(namespace).await]
}

async fn of_the_budget(namespace: &Namespace) -> Vec<Result<()>> {
    let edits = [json!({"spec": {"maxUnavailable": "100%"}})];
    vec![edited::<PodDisruptionBudget>(namespace, &edits).await, deleted::<PodDisruptionBudget>(namespace).await]
}

async fn of_the_workload(namespace: &Namespace) -> Vec<Result<()>> {
    let containers = json!([{"name": "engine", "image": "lab.local/other:1"}]);
    let edits = [json!({"spec": {"replicas": 2}}), json!({"spec": {"template": {"spec": {"containers": containers}}}})];
    vec![edited::<Deployment>(namespace, &edits).await, deleted::<Deployment>(namespace).await]
}

/// Each edit is taken back before the next one.
async fn edited<K>(namespace: &Namespace, edits: &[Value]) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let api = namespace.api::<K>();
    let planned = plan_of(&api.get("chat").await?)?;
    let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    for edit in edits {
        api.patch("chat", &params, &Patch::Strategic(edit)).await?;
        eventually(&format!("{} to be as before {edit}", K::kind(&())), TOLD, || async {
            let now = plan_of(&api.get("chat").await?)?;
            ensure!(now == planned, "it differs at {}", differences("", &planned, &now).join(", "));
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn deleted<K>(namespace: &Namespace) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let api = namespace.api::<K>();
    let before = api.get("chat").await?.uid();
    api.delete("chat", &DeleteParams::default()).await?;
    eventually(&format!("a new {}", K::kind(&())), STARTED, || async {
        let now = api.get("chat").await?;
        ensure!(now.uid() != before && now.meta().deletion_timestamp.is_none(), "the old one is still there");
        Ok(())
    })
    .await
}

/// What is planned of an object: the spec without what controllers fill in, the labels and the owners.
fn plan_of(object: &impl Serialize) -> Result<Value> {
    let object = serde_json::to_value(object)?;
    let metadata = object.get("metadata").context("no metadata")?;
    Ok(json!({
        "spec": object["spec"],
        "labels": metadata["labels"],
        "owners": metadata["ownerReferences"],
    }))
}

/// Paths at which two values differ, with what stands there now.
fn differences(path: &str, planned: &Value, now: &Value) -> Vec<String> {
    match (planned, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            keys.into_iter().flat_map(|key| differences(&format!("{path}.{key}"), &planned[key], &now[key])).collect()
        }
        _ if planned == now => Vec::new(),
        _ => vec![format!("{path} (now {now})")],
    }
}
