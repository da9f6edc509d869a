//! `spec.suspend` frees the accelerators and keeps everything else.

use anyhow::{Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use serde_json::json;

use crate::deployed::TOLD;
use crate::namespace::Namespace;

/// Suspended, it holds no accelerator, so that another can have it; then it comes back.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let scarce = namespace.world.needed_scarce()?;
    let sleeper = namespace.apply(&scarce.taken_by("sleeper")).await?;
    sleeper.is_ready().await?;
    let service = namespace.api::<Service>().get("sleeper").await?.uid();

    sleeper.change(json!({"suspend": true})).await?;
    for condition in [ConditionType::Ready, ConditionType::Placed] {
        sleeper.says(condition, "False", Reason::Suspended, TOLD).await?;
    }
    sleeper.has_pods(0).await?;
    ensure!(namespace.api::<Service>().get("sleeper").await?.uid() == service, "the Service was replaced");

    let guest = namespace.apply(&scarce.taken_by("guest")).await?;
    guest.is_ready().await?;
    guest.delete().await?;
    guest.has_pods(0).await?;

    sleeper.change(json!({"suspend": false})).await?;
    sleeper.is_ready().await?;
    sleeper.delete().await?;
    sleeper.has_pods(0).await.map(drop)
}
