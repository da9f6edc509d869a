//! The first thing a user does: applies the example, and gets an answer.

use anyhow::{Context, Result, ensure};
use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::examples::apply_folder;
use crate::deployed::{Deployed, TOLD};
use crate::lab::{CLUSTER, programs_folder};
use crate::namespace::Namespace;
use crate::progress::say;

/// `examples/quickstart`, as it is, answers on one GPU.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let chat = apply_folder(&namespace, "quickstart").await?;
    works(&chat).await?;
    // the example has a namespace of its own
    chat.namespace.delete().await
}

async fn works(chat: &Deployed) -> Result<()> {
    let namespace = &chat.namespace;
    chat.is_ready().await?;
    let served = served_name(&chat.get().await?);
    let said = chat.answers(&served).await?;
    ensure!(!said.trim().is_empty(), "the answer is empty");
    say(format_args!("it said {said:?}"));
    let pieces = chat.service().await?.stream(&served, 5).await?.ends(TOLD).await?;
    ensure!(pieces >= 2, "a stream of 5 tokens came in {pieces} pieces");
    let pods = chat.has_pods(1).await?;
    let pod = pods.first().context("no Pod")?;
    runs_on_a_real_node(pod)?;
    holds_one_gpu(namespace, pod).await?;
    has_no_token(pod)?;
    a_loose_pod_is_refused(namespace).await?;
    columns_are_there(chat).await
}

/// What clients put into "model".
pub fn served_name(deployment: &DeepSeekDeployment) -> String {
    let model = &deployment.spec.model;
    model.served_names.first().unwrap_or(&model.name).clone()
}

fn runs_on_a_real_node(pod: &Pod) -> Result<()> {
    let node = node_of(pod)?;
    ensure!(node.starts_with("east-n"), "it runs on {node}, which is no real node");
    Ok(())
}

fn node_of(pod: &Pod) -> Result<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).context("the Pod is on no node")
}

/// The limit says it, and so does the environment that the device plug-in gave to the container.
async fn holds_one_gpu(namespace: &Namespace, pod: &Pod) -> Result<()> {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("no container")?;
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let asked = limits.and_then(|limits| limits.get("nvidia.com/gpu")).map(|quantity| quantity.0.as_str());
    ensure!(asked == Some("1"), "its limit of nvidia.com/gpu is {asked:?}");
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let id = statuses.and_then(|s| s.first()?.container_id.as_deref()).context("the container has no id")?;
    let id = id.trim_start_matches("containerd://");
    let node = node_of(pod)?.trim_start_matches("east-n");
    let program = programs_folder().join("ctr").to_string_lossy().into_owned();
    let ctr = ["node-exec", CLUSTER, node, &program, "-n", "k8s.io", "containers", "info", id];
    let info: Value = serde_json::from_str(&namespace.world.cluster.needed_lab()?.call(&ctr).await?)?;
    let env = info["Spec"]["process"]["env"].as_array().context("containerd does not tell the environment")?;
    let given = env.iter().filter_map(Value::as_str).find_map(|line| line.strip_prefix("NVIDIA_VISIBLE_DEVICES="));
    ensure!(given.is_some_and(|g| !g.is_empty() && !g.contains(',')), "the device plug-in gave it {given:?}");
    Ok(())
}

fn has_no_token(pod: &Pod) -> Result<()> {
    let spec = pod.spec.as_ref().context("the Pod has no spec")?;
    ensure!(spec.automount_service_account_token == Some(false), "a service account token is mounted automatically");
    let projected = spec.volumes.iter().flatten().filter_map(|volume| volume.projected.as_ref());
    let tokens = projected.flat_map(|p| p.sources.iter().flatten()).filter(|s| s.service_account_token.is_some());
    ensure!(tokens.count() == 0, "a volume holds a service account token");
    Ok(())
}

/// Pod Security *restricted* is enforced, so the engine's Pod would not be here if it were not modest.
async fn a_loose_pod_is_refused(namespace: &Namespace) -> Result<()> {
    let loose: Pod = serde_json::from_value(json!({
        "metadata": {"name": "loose"},
        "spec": {"containers": [{"name": "a", "image": "example.org/a:1"}]},
    }))?;
    let api: Api<Pod> = namespace.api();
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &loose).await {
        Err(kube::Error::Api(status)) if status.message.contains("PodSecurity") => Ok(()),
        other => anyhow::bail!("a Pod without any restriction is not refused: {:?}", other.map(|pod| pod.name_any())),
    }
}

/// `kubectl get` shows what the API server makes of the printer columns.
async fn columns_are_there(chat: &Deployed) -> Result<()> {
    let path = format!("/apis/deepseek-operator.io/v1alpha1/namespaces/{}/deepseekdeployments", chat.namespace.name);
    let request = http::Request::get(path).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table: Value = chat.namespace.client().request(request.body(Vec::new())?).await?;
    let names: Vec<_> =
        table["columnDefinitions"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
    let wanted = "Name Model Ready Replicas Targets Min Max Engine Accelerator URL Reason Age";
    ensure!(names.join(" ") == wanted, "the columns are {names:?}, not {wanted}");
    let cells = table["rows"][0]["cells"].as_array().context("no row")?;
    let empty = names.iter().zip(cells).filter(|(_, cell)| cell.is_null() || *cell == "").map(|(name, _)| *name);
    let empty: Vec<_> = empty.collect();
    ensure!(empty == ["Targets", "Min", "Max"], "columns without a value: {empty:?}; nothing scales here");
    ensure!(cells[2] == "1/1", "the column Ready says {}", cells[2]);
    Ok(())
}
