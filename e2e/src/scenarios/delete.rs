//! Deleting the object removes every child.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::discovery::verbs::LIST;
use kube::discovery::{Discovery, Scope};

use crate::deployed::STARTED;
use crate::fixtures::simulated;
use crate::lab::{SCARCE, SCARCE_NODE};
use crate::namespace::Namespace;
use crate::wait::eventually;

/// Nothing of any kind with the deployment's label is left, and its GPU is free.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let doomed = namespace.apply(&simulated("doomed").on(SCARCE)).await?;
    doomed.is_ready().await?;
    let kinds = listable_kinds(&namespace).await?;
    let there = children(&namespace, &kinds).await?;
    for kind in ["Service", "Deployment", "ReplicaSet", "Pod", "PodDisruptionBudget", "EndpointSlice"] {
        ensure!(there.iter().any(|child| child.starts_with(&format!("{kind} "))), "no {kind} among {there:?}");
    }
    ensure!(holders(&namespace).await?.len() == 1, "not one Pod holds the GPU");
    doomed.delete().await?;
    eventually("every child to be gone", STARTED, || async {
        let left = children(&namespace, &kinds).await?;
        ensure!(left.is_empty(), "still there: {left:?}");
        Ok(())
    })
    .await?;
    let holders = holders(&namespace).await?;
    ensure!(holders.is_empty(), "the GPU is held by {holders:?}");
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

/// Pods on the scarce node that ask for a GPU, whoever made them.
async fn holders(namespace: &Namespace) -> Result<Vec<String>> {
    let on_node = ListParams::default().fields(&format!("spec.nodeName={SCARCE_NODE}"));
    let pods = Api::<Pod>::all(namespace.client()).list(&on_node).await?.items;
    let asks = |pod: &Pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut limits = containers.filter_map(|c| c.resources.as_ref()?.limits.as_ref());
        limits.any(|limits| limits.contains_key("nvidia.com/gpu"))
    };
    Ok(pods.iter().filter(|pod| asks(pod)).map(ResourceExt::name_any).collect())
}
