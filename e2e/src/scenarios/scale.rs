//! Replicas, as `kubectl scale` and autoscalers set them.

use anyhow::{Context, Result, ensure};
use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use crate::deployed::{Deployed, STARTED};
use crate::fixtures::simulated;
use crate::namespace::Namespace;
use crate::wait::eventually;

/// From 1 to 2 and back; the subresource tells the number and selects the Pods.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let deployed = namespace.apply(&simulated("chat")).await?;
    deployed.is_ready().await?;
    deployed.scale(2).await?;
    deployed.is_ready().await?;
    deployed.has_pods(2).await?;
    is_told(&deployed, 2).await?;
    deployed.scale(1).await?;
    deployed.has_pods(1).await?;
    deployed.is_ready().await?;
    is_told(&deployed, 1).await
}

async fn is_told(deployed: &Deployed, replicas: i32) -> Result<()> {
    let api = deployed.namespace.api::<DeepSeekDeployment>();
    eventually("the scale subresource to tell the replicas", STARTED, || async {
        let status = api.get_scale(&deployed.name).await?.status.context("no status")?;
        ensure!(status.replicas == replicas, "it tells {}", status.replicas);
        let selector = status.selector.context("no selector")?;
        let selected = deployed.namespace.api::<Pod>().list(&ListParams::default().labels(&selector)).await?.items;
        ensure!(i32::try_from(selected.len()) == Ok(replicas), "{selector:?} selects {} Pods", selected.len());
        Ok(())
    })
    .await
}
