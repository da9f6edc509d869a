//! Children as they are stored, whatever their kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use deepseek_core::plan::ChildKind;
use deepseek_core::render::DEPLOYMENT_LABEL;
use deepseek_crds::DeepSeekDeployment;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::ApiResource;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde_json::Value;

use crate::packed::Packed;

/// A store of each kind.
pub type Children = BTreeMap<ChildKind, Arc<dyn Kept>>;

/// A store of one kind.
pub trait Kept: Send + Sync {
    /// The object of this name, and its version.
    fn find(&self, name: &str, namespace: &str) -> (Option<Value>, Option<String>);
    /// Names and UIDs of what the deployment controls and nobody has deleted yet.
    fn owned_by(&self, owner: &DeepSeekDeployment) -> Vec<(String, String)>;
    /// How many there are.
    fn count(&self) -> usize;
    /// Waits until the first list is complete.
    fn filled(&self) -> BoxFuture<'_, ()>;
}

impl<K> Kept for Store<Packed<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + 'static,
{
    fn find(&self, name: &str, namespace: &str) -> (Option<Value>, Option<String>) {
        let found = self.get(&ObjectRef::new(name).within(namespace));
        let version = found.as_ref().and_then(|object| object.resource_version());
        (found.and_then(|object| object.value()), version)
    }

    fn owned_by(&self, owner: &DeepSeekDeployment) -> Vec<(String, String)> {
        let uid = owner.uid().unwrap_or_default();
        let mine = self.state_filter(|object| {
            object.namespace() == owner.namespace()
                && object.labels().get(DEPLOYMENT_LABEL) == owner.metadata.name.as_ref()
                && object.owner_references().iter().any(|by| by.controller == Some(true) && by.uid == uid)
                && object.meta().deletion_timestamp.is_none()
        });
        mine.iter().map(|object| (object.name_any(), object.uid().unwrap_or_default())).collect()
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn filled(&self) -> BoxFuture<'_, ()> {
        self.wait_until_ready().map(drop).boxed()
    }
}

/// What users call a kind.
pub fn plural(kind: ChildKind) -> &'static str {
    match kind {
        ChildKind::ServiceAccount => "serviceaccounts",
        ChildKind::Role => "roles",
        ChildKind::RoleBinding => "rolebindings",
        ChildKind::ConfigMap => "configmaps",
        ChildKind::NetworkPolicy => "networkpolicies",
        ChildKind::Service => "services",
        ChildKind::EndpointSlice => "endpointslices",
        ChildKind::PodDisruptionBudget => "poddisruptionbudgets",
        ChildKind::Deployment => "deployments",
    }
}

/// How the API server knows a kind.
pub fn api_resource(kind: ChildKind) -> ApiResource {
    match kind {
        ChildKind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
        ChildKind::Role => ApiResource::erase::<Role>(&()),
        ChildKind::RoleBinding => ApiResource::erase::<RoleBinding>(&()),
        ChildKind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        ChildKind::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
        ChildKind::Service => ApiResource::erase::<Service>(&()),
        ChildKind::EndpointSlice => ApiResource::erase::<EndpointSlice>(&()),
        ChildKind::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
        ChildKind::Deployment => ApiResource::erase::<Deployment>(&()),
    }
}
