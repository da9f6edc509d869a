//! What fits where, and how many: on racks that are simulated, because nobody has as many accelerators to spare.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::deployed::{Deployed, STARTED, TOLD};
use crate::fixtures::{Wanted, simulated};
use crate::lab::CLUSTER;
use crate::namespace::Namespace;
use crate::wait::eventually;

const RACK: &str = "rack-a";

/// Without H200 a large model is told what would fit; with them it gets eight, and a small one gets one for each replica.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let told = story(&namespace).await;
    let cleared = clear(&namespace).await;
    told.and(cleared)
}

async fn story(namespace: &Namespace) -> Result<()> {
    let large = namespace.apply(&large("large").but(json!({"accelerator": null}))).await?;
    let eight = json!({"accelerator": {"cpu": null, "anyOf": [{"product": "nvidia-h100", "count": 8}]}});
    let tight = namespace.apply(&self::large("tight").but(eight)).await?;
    let (nowhere, small) = tokio::join!(
        large.says(ConditionType::Placed, "False", Reason::NoMatchingNode, TOLD),
        tight.says(ConditionType::Placed, "False", Reason::DoesNotFit, TOLD),
    );
    for message in [nowhere?, small?] {
        ensure!(message.contains("Fits: ") && message.contains("add such a node"), "no help in {message:?}");
    }
    tight.delete().await?;

    namespace.world.cluster.needed_lab()?.call(&["kwok", CLUSTER, RACK, "2", "8", "NVIDIA-H200"]).await?;
    large.says(ConditionType::Placed, "True", Reason::Fits, TOLD).await?;
    is_bound(&large, 1, "8").await?;
    let several = namespace.apply(&simulated("several").on("nvidia-h200").times(3)).await?;
    several.says(ConditionType::Placed, "True", Reason::Fits, TOLD).await?;
    is_bound(&several, 3, "1").await
}

/// 671 billion parameters at 8 bits.
fn large(name: &str) -> Wanted {
    simulated(name).but(json!({"model": {"name": "deepseek-r1", "precision": "FP8"}}))
}

/// Every replica is on the rack, with so many accelerators, and the status says so.
async fn is_bound(deployed: &Deployed, replicas: usize, each: &str) -> Result<()> {
    eventually(&format!("{} to be bound on the rack", deployed.name), STARTED, || async {
        let pods = deployed.pods().await?;
        ensure!(pods.len() == replicas, "{} Pods", pods.len());
        for pod in &pods {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).context("a Pod is on no node")?;
            ensure!(node.starts_with(RACK), "a Pod is on {node}");
            ensure!(accelerators(pod) == Some(each), "a Pod has {:?} accelerators", accelerators(pod));
        }
        let placement = deployed.get().await?.status.and_then(|status| status.placement).context("no placement")?;
        ensure!(placement.accelerator == "nvidia-h200", "the status says {}", placement.accelerator);
        ensure!(placement.per_replica.to_string() == each, "the status says {} per replica", placement.per_replica);
        ensure!(!placement.explanation.is_empty(), "the status explains nothing");
        Ok(())
    })
    .await
}

fn accelerators(pod: &Pod) -> Option<&str> {
    let container = pod.spec.as_ref()?.containers.first()?;
    Some(container.resources.as_ref()?.limits.as_ref()?.get("nvidia.com/gpu")?.0.as_str())
}

/// Takes the rack away again: later scenarios must not land on nodes that run nothing.
async fn clear(namespace: &Namespace) -> Result<()> {
    for deployment in namespace.api::<deepseek_crds::DeepSeekDeployment>().list(&ListParams::default()).await? {
        namespace
            .api::<deepseek_crds::DeepSeekDeployment>()
            .delete(&deployment.name_any(), &DeleteParams::default())
            .await?;
    }
    eventually("the rack to be empty", Duration::from_secs(60), || async {
        let pods = namespace.api::<Pod>().list(&ListParams::default()).await?.items;
        ensure!(pods.is_empty(), "{} Pods are left", pods.len());
        Ok(())
    })
    .await?;
    let nodes: Api<Node> = Api::all(namespace.client());
    for node in nodes.list(&ListParams::default().labels("type=kwok")).await? {
        nodes.delete(&node.name_any(), &DeleteParams::default()).await?;
    }
    Ok(())
}
