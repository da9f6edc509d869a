//! Somebody else's Service has the name already.

use anyhow::{Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::deployed::TOLD;
use crate::fixtures::{TINY, simulated};
use crate::namespace::Namespace;

/// It is named and not touched; once it is gone, the deployment gets its own.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let api = namespace.api::<Service>();
    let foreign: Service = serde_json::from_value(json!({
        "metadata": {"name": "chat"},
        "spec": {"selector": {"app": "something-else"}, "ports": [{"port": 80}]},
    }))?;
    let before = api.create(&PostParams::default(), &foreign).await?;
    let chat = namespace.apply(&simulated("chat")).await?;
    let message = chat.says(ConditionType::Ready, "False", Reason::NameTaken, TOLD).await?;
    ensure!(message.contains("Service \"chat\"") && message.contains("Delete or rename it"), "no help in {message:?}");
    let after = api.get("chat").await?;
    ensure!(after.resource_version() == before.resource_version(), "the foreign Service was changed: {after:?}");
    ensure!(after.metadata.owner_references.is_none(), "the foreign Service has a new owner");

    api.delete("chat", &DeleteParams::default()).await?;
    chat.is_ready().await?;
    chat.answers(TINY).await.map(drop)
}
