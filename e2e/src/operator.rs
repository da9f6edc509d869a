//! The operator itself, as an administrator installs it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::{Api, ResourceExt};

use crate::cluster::Cluster;
use crate::options::{Options, root};
use crate::progress::say;
use crate::wait::eventually;

/// Name of the release, and with it of everything that the chart makes.
pub const RELEASE: &str = "deepseek-operator";
const SELECTOR: &str = "app.kubernetes.io/name=deepseek-operator,app.kubernetes.io/component=controller";
const REPLICAS: usize = 2;

/// The chart's release.
pub struct Operator {
    cluster: Arc<Cluster>,
    /// Where it is installed.
    pub namespace: String,
    ours: bool,
    values: Vec<String>,
}

impl Operator {
    /// The operator as the flags describe it; nothing is installed yet.
    pub fn new(cluster: &Arc<Cluster>, options: &Options) -> Self {
        let (repository, tag) = options.operator_image.rsplit_once(':').unwrap_or((&options.operator_image, ""));
        let values = [
            ("image.repository", repository.to_owned()),
            ("image.tag", tag.to_owned()),
            ("engineImages.LlamaCpp", options.llama_image.clone()),
            ("engineImages.Simulator", options.simulator_image.clone()),
        ];
        Self {
            cluster: cluster.clone(),
            namespace: options.installed.clone().unwrap_or_else(|| "deepseek-system".to_owned()),
            ours: options.installed.is_none(),
            values: values.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
        }
    }

    /// Whether we installed it, and may do with it what we like.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// Installs the chart and waits until every replica is ready.
    ///
    /// # Errors
    /// When helm fails, or the replicas do not become ready.
    pub async fn install(&self) -> Result<()> {
        say("installing the operator's chart");
        let chart = root().join("charts/deepseek-operator");
        ensure!(chart.join("Chart.yaml").exists(), "there is no chart at {}", chart.display());
        let chart = chart.to_string_lossy().into_owned();
        let replicas = format!("replicas={REPLICAS}");
        let mut args = vec!["install", RELEASE, &chart, "--namespace", &self.namespace, "--create-namespace"];
        args.extend(["--set", &replicas]);
        args.extend(self.values.iter().flat_map(|value| ["--set-string", value]));
        self.cluster.helm(&args).await?;
        self.is_ready().await
    }

    /// Uninstalls the chart and waits until no replica is left.
    ///
    /// # Errors
    /// When helm fails, or replicas stay.
    pub async fn uninstall(&self) -> Result<()> {
        say("uninstalling the operator's chart");
        self.cluster.helm(&["uninstall", RELEASE, "--namespace", &self.namespace]).await?;
        eventually("the operator's Pods to be gone", Duration::from_secs(40), || async {
            let left = self.pods().await?;
            ensure!(left.is_empty(), "{} are left", left.len());
            Ok(())
        })
        .await
    }

    /// Runs the chart's own tests.
    ///
    /// # Errors
    /// When one fails.
    pub async fn helm_test(&self) -> Result<()> {
        self.cluster.helm(&["test", RELEASE, "--namespace", &self.namespace, "--timeout", "60s"]).await.map(drop)
    }

    /// Kills every replica at once, without notice.
    ///
    /// # Errors
    /// When they cannot be deleted.
    pub async fn kill(&self) -> Result<()> {
        let api = self.pods_api();
        for pod in self.pods().await? {
            api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
        }
        Ok(())
    }

    /// Waits until every replica is ready and one of them has the lease.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn is_ready(&self) -> Result<()> {
        eventually("every replica of the operator to be ready", Duration::from_secs(60), || async {
            let pods = self.pods().await?;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            ensure!(ready == REPLICAS && pods.len() == REPLICAS, "{ready} of {} Pods are ready", pods.len());
            let holder = self.holder().await?;
            ensure!(pods.iter().any(|pod| holder.starts_with(&pod.name_any())), "the lease is held by {holder:?}");
            Ok(())
        })
        .await
    }

    /// Who holds the lease.
    ///
    /// # Errors
    /// When there is no lease.
    pub async fn holder(&self) -> Result<String> {
        let api: Api<Lease> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let lease = api.get(RELEASE).await?;
        lease.spec.and_then(|spec| spec.holder_identity).context("nobody holds the lease")
    }

    /// The node of the replica that holds the lease.
    ///
    /// # Errors
    /// When nobody holds it.
    pub async fn leader_node(&self) -> Result<String> {
        let (holder, pods) = (self.holder().await?, self.pods().await?);
        let leader = pods.iter().find(|pod| holder.starts_with(&pod.name_any()));
        let node = leader.and_then(|pod| pod.spec.as_ref()?.node_name.clone());
        node.with_context(|| format!("the lease is held by {holder:?}, which is no Pod on a node"))
    }

    /// UIDs of its Pods and how often their containers were restarted: equal before and after, nothing was restarted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn lives(&self) -> Result<Vec<(String, i32)>> {
        let restarts = |pod: &Pod| {
            let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
            statuses.map(|status| status.restart_count).sum()
        };
        let mut lives: Vec<_> =
            self.pods().await?.iter().map(|pod| (pod.uid().unwrap_or_default(), restarts(pod))).collect();
        lives.sort_unstable();
        Ok(lives)
    }

    /// The user as whom it talks to the API server.
    ///
    /// # Errors
    /// When it is not installed.
    pub async fn user(&self) -> Result<String> {
        let api: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let pod = api.get(RELEASE).await?.spec.and_then(|spec| spec.template.spec);
        let account = pod.and_then(|pod| pod.service_account_name).context("the operator has no service account")?;
        Ok(format!("system:serviceaccount:{}:{account}", self.namespace))
    }

    /// Shows the last warnings of every replica, for whoever looks into a failure.
    pub async fn tell_complaints(&self) {
        for pod in self.pods().await.unwrap_or_default() {
            let name = pod.name_any();
            let log = self.pods_api().logs(&name, &LogParams::default()).await.unwrap_or_default();
            let complaints: Vec<_> =
                log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
            for line in complaints.iter().rev().take(5).rev() {
                say(format_args!("{name} said: {}", line.chars().take(500).collect::<String>()));
            }
        }
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        Ok(self.pods_api().list(&ListParams::default().labels(SELECTOR)).await?.items)
    }

    fn pods_api(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }
}

/// Whether the kubelet calls a Pod ready and nobody has told it to go.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}
