//! Nobody asks, and no replica runs; then somebody asks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;

use crate::deployed::{Deployed, STARTED, TOLD};
use crate::fixtures::{TINY, simulated};
use crate::namespace::Namespace;
use crate::progress::say;
use crate::wait::eventually;

/// Ten seconds without a request, two passes, and what the Pods take to end.
const FALLS_ASLEEP: Duration = Duration::from_secs(60);
/// As the issue promises it, beyond what the replica itself takes.
const WAKES: Duration = Duration::from_secs(2);
/// Kubernetes writes whole seconds.
const GRAIN: Duration = Duration::from_secs(1);
/// As long as a request is held, and then some: replicas start slowly on a machine that does everything at once.
const PATIENCE: Duration = Duration::from_secs(70);
/// Clients that come at once.
const CLIENTS: usize = 8;

/// Ten seconds without a request, and no replica runs. Of those who come then nobody is refused, and the first token is there two seconds
/// after the replica at the latest. Without the block a replica runs again.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let autoscaling = json!({
        "minReplicas": 0, "maxReplicas": 2, "target": {"concurrency": "16"},
        "scaleToZero": {"idleAfter": "10s", "holdTimeout": "60s"},
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    });
    let chat = namespace.apply(&simulated("chat").but(json!({"autoscaling": autoscaling}))).await?;
    falls_asleep(&chat).await?;
    let door = chat.service().await?.patient(PATIENCE);
    let start = Instant::now();
    let ask = || async {
        let answer = door.chat(TINY, 4).await;
        answer.map(|answer| (answer, start.elapsed()))
    };
    let answers = try_join_all((0..CLIENTS).map(|_| ask())).await.context("somebody who was held was not answered")?;
    let first = answers.iter().map(|(_, took)| *took).min().unwrap_or_default();
    // gateways may find it before the kubelet calls it ready
    let load = eventually("the replica to be ready", STARTED, || async {
        chat.pods().await?.first().and_then(load_time).context("its Pod is not ready")
    })
    .await?;
    say(format_args!(
        "{CLIENTS} were held; the first token came after {:.1} s, of which the replica took {load:?}",
        first.as_secs_f64()
    ));
    ensure!(first <= load + WAKES + GRAIN, "the first token came after {first:?}, and the replica took {load:?}");
    falls_asleep(&chat).await?;
    chat.change(json!({"autoscaling": null})).await?;
    chat.has_pods(1).await?;
    chat.is_ready().await
}

async fn falls_asleep(chat: &Deployed) -> Result<()> {
    chat.says(ConditionType::ScaledToZero, "True", Reason::ScaledToZero, FALLS_ASLEEP).await?;
    chat.says(ConditionType::Ready, "True", Reason::ScaledToZero, TOLD).await?;
    eventually("no replica to run", FALLS_ASLEEP, || async {
        let pods = chat.pods().await?.len();
        ensure!(pods == 0, "{pods} Pods are there");
        Ok(())
    })
    .await
}

/// From its creation until the kubelet calls it ready.
fn load_time(pod: &Pod) -> Option<Duration> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True")?;
    let (from, to) = (pod.metadata.creation_timestamp.as_ref()?, ready.last_transition_time.as_ref()?);
    u64::try_from(to.0.as_second() - from.0.as_second()).ok().map(Duration::from_secs)
}
