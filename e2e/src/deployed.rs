//! A deployment that is in the cluster, and what can be said about it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::door::Door;
use crate::namespace::Namespace;
use crate::wait::eventually;

/// Within this time the user is told of anything that is wrong.
pub const TOLD: Duration = Duration::from_secs(10);
/// A tiny engine starts in a second; a small machine with many of them takes longer.
pub const STARTED: Duration = Duration::from_secs(60);

/// A deployment in the cluster.
#[derive(Clone)]
pub struct Deployed {
    /// Where.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
}

impl Deployed {
    /// As it is stored.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn get(&self) -> Result<DeepSeekDeployment> {
        Ok(self.namespace.api().get(&self.name).await?)
    }

    /// Waits until it is ready, and the status is about the current generation.
    ///
    /// # Errors
    /// When that takes too long; with all conditions.
    pub async fn is_ready(&self) -> Result<()> {
        self.says(ConditionType::Ready, "True", Reason::AllReplicasAnswer, STARTED).await.map(drop)
    }

    /// Waits until a condition of the current generation has this status and reason, and returns its message.
    ///
    /// # Errors
    /// When that takes longer than the limit; with all conditions.
    pub async fn says(
        &self,
        condition: ConditionType,
        status: &str,
        reason: Reason,
        limit: Duration,
    ) -> Result<String> {
        let what = format!("{} to say {condition}={status} {reason}", self.name);
        eventually(&what, limit, || async {
            let found = self.current(&self.get().await?, condition)?;
            ensure!(found.status == status && found.reason == reason.as_str(), "{}", self.conditions().await);
            Ok(found.message)
        })
        .await
    }

    fn current(&self, object: &DeepSeekDeployment, condition: ConditionType) -> Result<Condition> {
        let status = object.status.as_ref().context("no status yet")?;
        let found = status.conditions.iter().find(|c| c.type_ == condition.as_str());
        let found = found.with_context(|| format!("no condition {condition} yet"))?;
        let generation = object.metadata.generation;
        if found.observed_generation != generation {
            bail!("{} is at generation {generation:?}, its condition at {:?}", self.name, found.observed_generation);
        }
        Ok(found.clone())
    }

    /// All conditions and Pods, in a line for people.
    pub async fn conditions(&self) -> String {
        let conditions = match self.get().await {
            Ok(object) => object.status.unwrap_or_default().conditions,
            Err(error) => return format!("{error:#}"),
        };
        let told = conditions.iter().map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message));
        let pods = self.pods().await.unwrap_or_default();
        let pods: Vec<_> = pods.iter().map(pod_in_words).collect();
        format!("{}; Pods [{}]", told.collect::<Vec<_>>().join(" | "), pods.join(", "))
    }

    /// Its engine's Pods, those that are being deleted included.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        self.pods_of("engine").await
    }

    /// Its gateway's Pods, those that are being deleted included.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn gateways(&self) -> Result<Vec<Pod>> {
        self.pods_of("gateway").await
    }

    async fn pods_of(&self, component: &str) -> Result<Vec<Pod>> {
        let selector = format!("deepseek-operator.io/deployment={},app.kubernetes.io/component={component}", self.name);
        Ok(self.namespace.api::<Pod>().list(&ListParams::default().labels(&selector)).await?.items)
    }

    /// UIDs of its Pods, sorted: equal before and after, none was replaced.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pod_uids(&self) -> Result<Vec<String>> {
        let mut uids: Vec<_> = self.pods().await?.iter().filter_map(ResourceExt::uid).collect();
        uids.sort_unstable();
        Ok(uids)
    }

    /// Waits until it has this many Pods, none of them on its way out.
    ///
    /// # Errors
    /// When it has not.
    pub async fn has_pods(&self, count: usize) -> Result<Vec<Pod>> {
        let what = format!("{} to have {count} Pods", self.name);
        eventually(&what, STARTED, || async {
            let pods = self.pods().await?;
            let going = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).count();
            ensure!(pods.len() == count && going == 0, "{} Pods, {going} of them on their way out", pods.len());
            Ok(pods)
        })
        .await
    }

    /// The way to its Service.
    ///
    /// # Errors
    /// When there is none.
    pub async fn service(&self) -> Result<Door> {
        self.namespace.world.cluster.service(&self.namespace.name, &self.name).await
    }

    /// Waits until its Service answers with a token.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answers(&self, model: &str) -> Result<String> {
        let door = self.service().await?;
        let what = format!("the Service of {} to answer", self.name);
        eventually(&what, TOLD, || door.chat(model, 4)).await
    }

    /// Changes the spec by a merge patch: null removes.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change(&self, spec: Value) -> Result<()> {
        let api = self.namespace.api::<DeepSeekDeployment>();
        let params = PatchParams { field_manager: Some("scenarios".into()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": spec}));
        api.patch(&self.name, &params, &patch).await.with_context(|| format!("{}: change refused", self.name))?;
        Ok(())
    }

    /// Sets the number of replicas as `kubectl scale` and autoscalers do.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn scale(&self, replicas: i32) -> Result<()> {
        let api = self.namespace.api::<DeepSeekDeployment>();
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        api.patch_scale(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Begins to delete it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self) -> Result<()> {
        self.namespace.api::<DeepSeekDeployment>().delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}

fn pod_in_words(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
    let waiting = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten())
        .find_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("?");
    let going = if pod.metadata.deletion_timestamp.is_some() { ", terminating" } else { "" };
    format!("{} on {node}: {phase} {}{going}", pod.name_any(), waiting.unwrap_or_default())
}
