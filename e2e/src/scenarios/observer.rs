//! The status is what an independent observer sees.
//!
//! The observer looks at Pods and asks each of them for a token; it knows nothing of how the operator comes to its numbers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_crds::DeepSeekDeploymentStatus;
use deepseek_crds::condition::{ConditionType, Reason};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::deployed::{Deployed, STARTED};
use crate::fixtures::real;
use crate::lab::CLUSTER;
use crate::namespace::Namespace;
use crate::operator::is_ready;
use crate::progress::say;
use crate::wait::eventually;

const NAMES: [&str; 2] = ["eye", "other-eye"];
/// A frozen engine does not answer at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// With both replicas well, with one frozen, and with both well again.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let wanted = real("eye", &namespace.world.options).times(2).but(json!({"model": {"servedNames": NAMES}}));
    let eye = namespace.apply(&wanted).await?;
    eye.is_ready().await?;
    agrees(&eye, 2).await?;
    let Some(lab) = namespace.world.cluster.lab() else {
        namespace.world.leave_out("observer: a frozen engine", "needs the faults of a lab");
        return Ok(());
    };
    let pods = eye.has_pods(2).await?;
    let (node, target) = victim(&namespace, pods.first().context("no Pod")?)?;
    say(format_args!("freezing {target}"));
    lab.call(&["fault", "freeze-container", CLUSTER, &node, &target]).await?;
    let ailing = agrees(&eye, 1).await;
    lab.call(&["heal", "freeze-container", CLUSTER, &node, &target]).await?;
    ailing?;
    agrees(&eye, 2).await?;
    eye.is_ready().await
}

fn victim(namespace: &Namespace, pod: &Pod) -> Result<(String, String)> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).context("the Pod is on no node")?;
    let number = node.strip_prefix("east-n").context("it runs on no real node")?;
    Ok((number.to_owned(), format!("{}/{}", namespace.name, pod.name_any())))
}

/// What can be seen without the operator.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    replicas: i32,
    serving: i32,
    all_well: bool,
    some_well: bool,
}

/// Waits until the observer sees this many serving replicas and the status says the same, twice in a row.
async fn agrees(eye: &Deployed, serving: i32) -> Result<()> {
    eventually(&format!("observer and status to agree on {serving} of 2"), STARTED, || async {
        let before = seen(eye).await?;
        let status = eye.get().await?.status.context("no status")?;
        let after = seen(eye).await?;
        ensure!(before == after, "it changes");
        let told = told(&status)?;
        ensure!(after.serving == serving, "the observer sees {after:?}");
        ensure!(told == after, "the status says {told:?}, the observer sees {after:?}");
        says_the_same_in_words(eye, &status, serving).await
    })
    .await
}

async fn seen(eye: &Deployed) -> Result<Seen> {
    let pods: Vec<_> = eye.pods().await?.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    let well = join_all(pods.iter().map(|pod| is_well(eye, pod))).await;
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let serving = count(well.iter().filter(|well| **well).count());
    let replicas = count(pods.len());
    Ok(Seen { replicas, serving, all_well: serving == replicas, some_well: serving > 0 })
}

/// Ready for the Service, lists every name, and makes a token.
async fn is_well(eye: &Deployed, pod: &Pod) -> bool {
    let door = eye.namespace.world.cluster.pod(&eye.namespace.name, &pod.name_any());
    let asked = tokio::time::timeout(PATIENCE, async {
        let listed = door.models().await?;
        ensure!(NAMES.iter().all(|name| listed.iter().any(|l| l == name)), "it lists {listed:?}");
        door.chat(NAMES[0], 1).await
    });
    is_ready(pod) && matches!(asked.await, Ok(Ok(_)))
}

fn told(status: &DeepSeekDeploymentStatus) -> Result<Seen> {
    let is = |condition: ConditionType| {
        status.conditions.iter().any(|c| c.type_ == condition.as_str() && c.status == "True")
    };
    Ok(Seen {
        replicas: status.replicas.context("no replicas")?,
        serving: status.ready_replicas.context("no readyReplicas")?,
        all_well: is(ConditionType::Ready),
        some_well: is(ConditionType::Available),
    })
}

async fn says_the_same_in_words(eye: &Deployed, status: &DeepSeekDeploymentStatus, serving: i32) -> Result<()> {
    let object = eye.get().await?;
    ensure!(status.observed_generation == object.metadata.generation, "the status is about another generation");
    ensure!(status.ready == Some(format!("{serving}/2")), "status.ready is {:?}", status.ready);
    let url = status.endpoint.as_ref().map(|endpoint| endpoint.url.as_str());
    let expected = format!("http://eye.{}.svc:8000/v1", eye.namespace.name);
    ensure!(url == Some(expected.as_str()), "status.endpoint.url is {url:?}");
    let selector = status.selector.as_deref().context("no selector")?;
    let selected = eye.namespace.api::<Pod>().list(&ListParams::default().labels(selector)).await?.items;
    ensure!(selected.len() == eye.pods().await?.len(), "{selector:?} selects {} Pods", selected.len());
    let ready = status.conditions.iter().find(|c| c.type_ == ConditionType::Ready.as_str()).context("no Ready")?;
    let reason = if serving == 2 { Reason::AllReplicasAnswer } else { Reason::SomeReplicasAnswer };
    ensure!(ready.reason == reason.as_str(), "Ready has the reason {}, not {reason}", ready.reason);
    Ok(())
}
