//! The operator's own children without the operator: what is left of its cost when somebody else creates the same objects.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::{Map, Value, json};

use crate::objects::AT_ONCE;

/// The children of one deployment, as they were found.
pub struct Copies {
    name: String,
    children: Vec<(ApiResource, Value)>,
}

/// Kinds of children.
pub fn kinds() -> [ApiResource; 3] {
    [
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<Service>(&()),
    ]
}

impl Copies {
    /// Of a deployment that is there.
    ///
    /// # Errors
    /// When a child is missing.
    pub async fn of(client: &Client, namespace: &str, name: &str) -> Result<Self> {
        let mut children = Vec::new();
        for resource in kinds() {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let stored = serde_json::to_value(api.get(name).await?)?;
            children.push((resource, stripped(&stored).context("a child without a spec")?));
        }
        Ok(Self { name: name.to_owned(), children })
    }

    /// Creates them for so many other names.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn create_all(&self, client: &Client, namespace: &str, n: u32) -> Result<()> {
        let names = (0..n).map(|at| format!("d{at:04}"));
        let sets = names.map(|name| async move { self.create(client, namespace, &name).await });
        futures::stream::iter(sets).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn create(&self, client: &Client, namespace: &str, name: &str) -> Result<()> {
        let created = self.children.iter().map(|(resource, body)| async move {
            let text = body.to_string().replace(&self.name, name);
            let object: DynamicObject = serde_json::from_str(&text)?;
            let api = Api::namespaced_with(client.clone(), namespace, resource);
            api.create(&PostParams::default(), &object).await?;
            Ok::<_, anyhow::Error>(())
        });
        futures::future::try_join_all(created).await.map(drop)
    }
}

/// Without what the API server and the owner gave it.
fn stripped(stored: &Value) -> Option<Value> {
    let mut spec = stored.get("spec")?.clone();
    if let Value::Object(fields) = &mut spec {
        for given in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            fields.remove(given);
        }
    }
    let kept =
        ["name", "labels"].into_iter().filter_map(|key| Some((key.to_owned(), stored["metadata"].get(key)?.clone())));
    let metadata: Map<String, Value> = kept.collect();
    Some(json!({"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": metadata, "spec": spec}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_gave_is_left_out() {
        let stored = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "a", "uid": "u", "ownerReferences": [], "labels": {"app": "a"}},
            "spec": {"clusterIP": "10.0.0.1", "ports": []},
            "status": {},
        });
        let wanted = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {"app": "a"}}, "spec": {"ports": []},
        });
        assert_eq!(stripped(&stored), Some(wanted));
    }
}
