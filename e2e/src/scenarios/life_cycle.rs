//! The chart is uninstalled over serving engines, and installed again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::audit::Audit;
use crate::deployed::{Deployed, TOLD};
use crate::fixtures::{TINY, real, simulated};
use crate::namespace::Namespace;
use crate::wait::{eventually, stays};

/// After the status is right again, anything that is going to be written is written within this time.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// So long does an object that is new stay as it is, with no operator there.
const UNATTENDED: Duration = Duration::from_secs(2);

/// What serves goes on serving, untouched; what is new waits. Then the status is fresh again, and what is new is served.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let operator = &namespace.world.operator;
    operator.helm_test().await.context("helm test")?;
    let chat = namespace.apply(&real("chat", &namespace.world.options)).await?;
    chat.is_ready().await?;
    let before = remains(&chat).await?;

    operator.uninstall().await?;
    ensure!(remains(&chat).await? == before, "uninstalling replaced something");
    chat.answers(TINY).await.context("without an operator")?;
    spoil_status(&chat).await?;
    let nursery = namespace.world.namespace("newcomer").await?;
    let newcomer = nursery.apply(&simulated("newcomer")).await?;
    stays("a new object waits for its operator", UNATTENDED, || is_pending(&newcomer)).await?;

    let audit = namespace.world.audit().await?;
    operator.install().await?;
    eventually("the status to be fresh", TOLD, || async {
        let status = chat.get().await?.status.context("no status")?;
        ensure!(status.ready.as_deref() == Some("1/1"), "status.ready is {:?}", status.ready);
        Ok(())
    })
    .await?;
    chat.says(ConditionType::Ready, "True", Reason::AllReplicasAnswer, TOLD).await?;
    ensure!(remains(&chat).await? == before, "installing again replaced something");
    stays("no child is written", AFTERWARDS, || nothing_but_status_was_written(&namespace, &audit)).await?;
    newcomer.is_ready().await?;
    nursery.delete().await?;
    operator.helm_test().await.context("helm test")
}

/// With no operator there, the API server's own default says that nobody has looked at it yet.
async fn is_pending(newcomer: &Deployed) -> Result<()> {
    let status = newcomer.get().await?.status.context("no status")?;
    let said: Vec<_> = status.conditions.iter().map(|c| [&*c.type_, &c.status, &c.reason].join(" ")).collect();
    ensure!(said == ["Ready Unknown Pending"], "without an operator it says {said:?}");
    let (generation, ready) = (status.observed_generation, status.ready);
    ensure!(generation.is_none() && ready.is_none(), "somebody has written {generation:?} and {ready:?}");
    Ok(())
}

/// UIDs of everything that has to stay.
async fn remains(chat: &Deployed) -> Result<Vec<Option<String>>> {
    let definitions: Api<CustomResourceDefinition> = Api::all(chat.namespace.client());
    let definition = definitions.get("deepseekdeployments.deepseek-operator.io").await?.uid();
    let service = chat.namespace.api::<Service>().get("chat").await?.uid();
    let pods = chat.pod_uids().await?.into_iter().map(Some);
    Ok([definition, chat.get().await?.uid(), service].into_iter().chain(pods).collect())
}

/// While nobody watches, the status becomes wrong.
async fn spoil_status(chat: &Deployed) -> Result<()> {
    let patch = Patch::Merge(json!({"status": {"ready": "7/1", "readyReplicas": 7}}));
    chat.namespace.api::<DeepSeekDeployment>().patch_status("chat", &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn nothing_but_status_was_written(namespace: &Namespace, audit: &Audit) -> Result<()> {
    let writes = audit.writes(&namespace.world.operator.user().await?, &namespace.name).await?;
    let (status, others): (Vec<_>, Vec<_>) =
        writes.into_iter().filter(|w| w.resource != "events").partition(|w| w.resource == "deepseekdeployments/status");
    let told: Vec<_> = others.into_iter().map(|write| write.told).collect();
    ensure!(told.is_empty(), "the operator wrote {told:?}");
    ensure!(!status.is_empty(), "the operator wrote no status, although it was wrong");
    Ok(())
}
