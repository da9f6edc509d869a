//! Deleting the object removes every child.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::discovery::verbs::LIST;
use kube::discovery::{Discovery, Scope};

use crate::deployed::STARTED;
use crate::namespace::Namespace;
use crate::scarce::{Scarce, asked};
use crate::wait::eventually;

/// Nothing of any kind with the deployment's label is left, and its accelerators are free.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let scarce = namespace.world.needed_scarce()?;
    let before = holders(&namespace, scarce).await?;
    let doomed = namespace.apply(&scarce.taken_by("doomed")).await?;
    doomed.is_ready().await?;
    let kinds = listable_kinds(&namespace).await?;
    let there = children(&namespace, &kinds).await?;
    for kind in ["Service", "Deployment", "ReplicaSet", "Pod", "PodDisruptionBudget", "EndpointSlice"] {
        ensure!(there.iter().any(|child| child.starts_with(&format!("{kind} "))), "no {kind} among {there:?}");
    }
    ensure!(holders(&namespace, scarce).await?.len() == before.len() + 1, "not one Pod more holds accelerators");
    doomed.delete().await?;
    eventually("every child to be gone", STARTED, || async {
        let left = children(&namespace, &kinds).await?;
        ensure!(left.is_empty(), "still there: {left:?}");
        Ok(())
    })
    .await?;
    let holders = holders(&namespace, scarce).await?;
    ensure!(holders == before, "before, accelerators were held by {before:?}, now by {holders:?}");
    Ok(())
}

async fn listable_kinds(namespace: &Namespace) -> Result<Vec<ApiResource>> {
    let discovery = Discovery::new(namespace.client()).run().await?;
    let kinds = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    Ok(kinds
        .filter(|(_, caps)| caps.scope == Scope::Namespaced && caps.supports_operation(LIST))
        .map(|(kind, _)| kind)
        .collect())
}

async fn children(namespace: &Namespace, kinds: &[ApiResource]) -> Result<Vec<String>> {
    let labelled = ListParams::default().labels("deepseek-operator.io/deployment=doomed");
    let mut found = Vec::new();
    for kind in kinds {
        let api: Api<DynamicObject> = Api::namespaced_with(namespace.client(), &namespace.name, kind);
        let objects = api.list(&labelled).await?.items;
        found.extend(objects.iter().map(|object| format!("{} {}", kind.kind, object.name_any())));
    }
    Ok(found)
}

/// Pods on the node that hold accelerators, whoever made them.
async fn holders(namespace: &Namespace, scarce: &Scarce) -> Result<Vec<String>> {
    let on_node = ListParams::default().fields(&format!("spec.nodeName={}", scarce.node));
    let pods = Api::<Pod>::all(namespace.client()).list(&on_node).await?.items;
    let holders = pods.iter().filter(|pod| asked(pod, &scarce.resource) > 0);
    Ok(holders.map(|pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())).collect())
}
