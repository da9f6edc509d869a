//! Nodes of a story's own, which it may break: each with one accelerator of a product that no other node has.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;

use crate::lab::{CLUSTER, Lab};

/// What they carry, as the catalogue calls it.
pub const PRODUCT: &str = "nvidia-l40s";
const LABEL: &str = "NVIDIA-L40S";
const NODES: [&str; 3] = ["3", "4", "5"];

/// Adds three, with all images.
///
/// # Errors
/// When the lab cannot.
pub async fn add(lab: &Lab) -> Result<()> {
    for node in NODES {
        lab.call(&["gpus", CLUSTER, node, "1", LABEL]).await?;
    }
    lab.call(&[&["node", CLUSTER], &NODES[..]].concat()).await?;
    lab.call(&["ready", CLUSTER, "60"]).await?;
    for node in NODES {
        lab.import(node).await?;
    }
    Ok(())
}

/// Mends what is broken and takes them away.
///
/// # Errors
/// When the lab cannot.
pub async fn remove(lab: &Lab) -> Result<()> {
    lab.call(&["heal", "all"]).await?;
    lab.call(&[&["remove", CLUSTER], &NODES[..]].concat()).await.map(drop)
}

/// The node of a Pod.
///
/// # Errors
/// When it has none yet.
pub fn node_of(pod: &Pod) -> Result<String> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).context("the Pod is on no node")
}

/// A node's number, as the lab counts.
pub fn number(node: &str) -> &str {
    node.rsplit_once("-n").map_or(node, |(_, number)| number)
}
