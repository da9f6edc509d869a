//! A node loses its power. Kubernetes with its defaults notices after a minute; clients notice a few seconds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;

use crate::deployed::{Deployed, TOLD};
use crate::fixtures::{TINY, real};
use crate::lab::{CLUSTER, Lab};
use crate::load::{Load, felt};
use crate::namespace::Namespace;
use crate::progress::say;
use crate::wait::eventually;

/// Nodes of this scenario's own, each with one accelerator of a product that no other has.
const NODES: [&str; 3] = ["3", "4", "5"];
const PRODUCT: (&str, &str) = ("NVIDIA-L40S", "nvidia-l40s");
const PER_SECOND: u32 = 10;
/// New requests succeed again within this time; the issue's own promise to clients.
const GAP: Duration = Duration::from_secs(4);
/// From the fault to a replacement that answers: 15 s and the engine's own start.
const REPLACED: Duration = Duration::from_secs(30);

/// Two replicas and a spare node; one of the two goes dark, and comes back.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let lab = namespace.world.cluster.needed_lab()?;
    add_nodes(lab).await?;
    let told = lose_one(&namespace, lab).await;
    lab.call(&["heal", "all"]).await?;
    lab.call(&[&["remove", CLUSTER], &NODES[..]].concat()).await?;
    told
}

async fn add_nodes(lab: &Lab) -> Result<()> {
    for node in NODES {
        lab.call(&["gpus", CLUSTER, node, "1", PRODUCT.0]).await?;
    }
    lab.call(&[&["node", CLUSTER], &NODES[..]].concat()).await?;
    lab.call(&["ready", CLUSTER, "60"]).await?;
    for node in NODES {
        lab.import(node).await?;
    }
    Ok(())
}

async fn lose_one(namespace: &Namespace, lab: &Lab) -> Result<()> {
    let chat = namespace.apply(&real("chat", &namespace.world.options).on(PRODUCT.1).times(2)).await?;
    chat.is_ready().await?;
    chat.answers(TINY).await?;
    let lost = node_of(chat.pods().await?.first().context("no Pod")?)?;
    let load = Load::start(&chat.service().await?, TINY, PER_SECOND);
    eventually("the load to flow", TOLD, || async {
        ensure!(load.answered() >= 20, "{} answers", load.answered());
        Ok(())
    })
    .await?;

    let (fault, number) = (load.now(), lost.trim_start_matches("east-n").to_owned());
    say(format_args!("{lost} loses its power"));
    lab.call(&["fault", "power", CLUSTER, &number]).await?;
    eventually("a replica on another node", REPLACED, || async { elsewhere(&chat, &lost).await }).await?;
    say(format_args!("two replicas run elsewhere {:.1} s later", load.now().saturating_sub(fault).as_secs_f64()));
    chat.is_ready().await?;
    let felt = felt(&load.end().await, fault)?;
    say(format_args!(
        "clients: lost {} in {:.1} s, {} streams told of their end, longest wait {:.1} s",
        felt.lost,
        felt.gap.as_secs_f64(),
        felt.told,
        felt.longest.as_secs_f64()
    ));
    ensure!(felt.gap <= GAP, "new requests failed for {:.1} s: {:?}", felt.gap.as_secs_f64(), felt.example);
    chat.says(ConditionType::NodesReachable, "False", Reason::NodeLost, TOLD).await?;
    ensure!(is_kept_off(namespace, &lost).await?, "{lost} has no taint");

    lab.call(&["heal", "power", CLUSTER, &number]).await?;
    eventually("the node to be used again", Duration::from_secs(60), || async {
        ensure!(!is_kept_off(namespace, &lost).await?, "{lost} is still tainted");
        Ok(())
    })
    .await?;
    chat.has_pods(2).await?;
    chat.is_ready().await
}

/// Two replicas are Ready on nodes that live.
async fn elsewhere(chat: &Deployed, lost: &str) -> Result<()> {
    let pods = chat.pods().await?;
    let alive = pods.iter().filter(|pod| node_of(pod).is_ok_and(|node| node != lost));
    let ready = alive.filter(|pod| crate::operator::is_ready(pod)).count();
    ensure!(ready == 2, "{ready} are Ready elsewhere");
    Ok(())
}

fn node_of(pod: &Pod) -> Result<String> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).context("the Pod is on no node")
}

async fn is_kept_off(namespace: &Namespace, name: &str) -> Result<bool> {
    let node = Api::<Node>::all(namespace.client()).get(name).await?;
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    Ok(taints.iter().any(|taint| taint.key == "deepseek-operator.io/unreachable"))
}
