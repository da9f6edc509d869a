//! Removing a field removes its effect.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};

use crate::deployed::{Deployed, STARTED};
use crate::fixtures::{TINY, simulated};
use crate::namespace::Namespace;
use crate::wait::eventually;

/// Node selector, tolerations, served names, limits, shared memory, arguments and environment come and go.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let plain = simulated("chat").but(json!({"resources": {"memory": null}}));
    let rich = plain.clone().but(json!({
        "model": {"servedNames": ["alpha", "beta"]},
        "engine": {"args": ["--seed", "7"], "env": [{"name": "GREETING", "value": "hello"}], "maxConcurrentSequences": 2},
        "placement": {"nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [{"key": "quiet", "operator": "Exists"}]},
        "resources": {"memory": "128Mi", "sharedMemory": "8Mi"},
        "shutdown": {"drainTimeout": "7s"},
    }));
    let chat = namespace.apply(&rich).await?;
    chat.is_ready().await?;
    let pod = template(&chat).await?;
    for effect in EFFECTS {
        ensure!(pod.to_string().contains(effect), "{effect} is not in the Pod template: {pod}");
    }
    serves(&chat, &["alpha", "beta"]).await?;

    // applied again without them: fields that only we own are taken out by the API server
    let chat = namespace.apply(&plain).await?;
    chat.is_ready().await?;
    let pod = template(&chat).await?;
    for effect in EFFECTS {
        ensure!(!pod.to_string().contains(effect), "{effect} is still in the Pod template: {pod}");
    }
    serves(&chat, &[TINY]).await
}

/// Words that are in the Pod template only because of a field.
const EFFECTS: [&str; 10] = [
    "\"nodeSelector\"",
    "\"quiet\"",
    "alpha",
    "\"--seed\"",
    "GREETING",
    "\"limits\"",
    "128Mi",
    "/dev/shm",
    "shared-memory",
    "\"terminationGracePeriodSeconds\":37",
];

async fn template(chat: &Deployed) -> Result<Value> {
    let deployment = chat.namespace.api::<Deployment>().get(&chat.name).await?;
    let pod: Option<PodSpec> = deployment.spec.and_then(|spec| spec.template.spec);
    Ok(serde_json::to_value(pod.context("no Pod template")?)?)
}

async fn serves(chat: &Deployed, names: &[&str]) -> Result<()> {
    let door = chat.service().await?;
    eventually("the engine to list its names", STARTED, || async {
        let listed = door.models().await?;
        ensure!(listed == names, "it lists {listed:?}, not {names:?}");
        Ok(())
    })
    .await
}
