//! What is created: deployments of models, and the same Pods without an operator.

use anyhow::Result;
use deepseek_crds::DeepSeekDeployment;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// What every engine serves.
pub const MODEL: &str = "deepseek-tiny";
/// Pods of each deployment.
const REPLICAS: u32 = 2;
/// Creations under way at once, for every side.
pub const AT_ONCE: usize = 8;

/// Who brings the Pods about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Kubernetes alone: plain Deployments.
    Floor,
    /// The operator.
    Operator,
}

impl Side {
    /// Where its objects are.
    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        let resource = match self {
            Self::Floor => ApiResource::erase::<Deployment>(&()),
            Self::Operator => ApiResource::erase::<DeepSeekDeployment>(&()),
        };
        Api::namespaced_with(client.clone(), namespace, &resource)
    }

    /// Whether one of its objects has all it should have.
    pub fn is_ready(self, object: &DynamicObject) -> bool {
        let status = &object.data["status"];
        match self {
            Self::Floor => status["readyReplicas"] == REPLICAS,
            Self::Operator => {
                let conditions = status["conditions"].as_array().into_iter().flatten();
                conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            }
        }
    }

    fn body(self, name: &str) -> Value {
        match self {
            Self::Operator => json!({
                "apiVersion": "deepseek-operator.io/v1alpha1",
                "kind": "DeepSeekDeployment",
                "metadata": {"name": name},
                "spec": {
                    "model": {"name": MODEL},
                    "engine": {"type": "Simulator"},
                    "accelerator": {"anyOf": [{"product": "nvidia-h200", "count": 1}]},
                    "replicas": REPLICAS,
                },
            }),
            Self::Floor => json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": REPLICAS,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": {"app": name}},
                        "spec": {"containers": [{
                            "name": "engine",
                            "image": "engine:1",
                            "resources": {"limits": {"nvidia.com/gpu": "1"}},
                        }]},
                    },
                },
            }),
        }
    }

    /// Creates one.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create(self, client: &Client, namespace: &str, name: &str) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(self.body(name))?;
        self.api(client, namespace).create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Creates so many.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn create_all(self, client: &Client, namespace: &str, n: u32) -> Result<()> {
        let names = (0..n).map(|at| format!("d{at:04}"));
        let created =
            futures::stream::iter(names.map(|name| async move { self.create(client, namespace, &name).await }));
        created.buffer_unordered(AT_ONCE).try_collect().await
    }
}

/// Makes a namespace, as strict as the examples have it.
///
/// # Errors
/// When it cannot be made.
pub async fn make_namespace(client: &Client, name: &str) -> Result<()> {
    let body = json!({"metadata": {"name": name}});
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &serde_json::from_value(body)?).await?;
    Ok(())
}

/// Deletes a namespace and everything in it, and waits until it is gone.
///
/// # Errors
/// When the API server does not answer.
pub async fn remove_namespace(client: &Client, name: &str) -> Result<()> {
    // Pods first: their deletion takes longest, and nobody brings them back once their owners are gone as well
    for side in [Side::Operator, Side::Floor] {
        side.api(client, name).delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
    }
    let pods = Api::<Pod>::namespaced(client.clone(), name);
    while !pods.list_metadata(&ListParams::default().limit(1)).await?.items.is_empty() {
        sleep(Duration::from_millis(500)).await;
    }
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.delete(name, &DeleteParams::default()).await?;
    while namespaces.get_opt(name).await?.is_some_and(|found| found.name_any() == name) {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
