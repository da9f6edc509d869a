//! Replicas follow the load.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use deepseek_crds::v1alpha1::AutoscalingStatus;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::deployed::{Deployed, STARTED};
use crate::fixtures::{TINY, simulated};
use crate::load::Load;
use crate::namespace::Namespace;
use crate::progress::say;
use crate::wait::{eventually, stays};

/// As the issue promises it.
const REACTION: Duration = Duration::from_secs(20);
/// What would happen after it would have happened within this time.
const WHILE: Duration = Duration::from_secs(15);

/// From 1 to 10 requests per second at 2 for each replica: five are wanted within 20 s, and then serve. Without load nothing goes down
/// before its time. Somebody else who scales is named, and has its way.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let autoscaling = json!({"maxReplicas": 7, "target": {"requestsPerSecond": "2"}});
    let wanted = simulated("chat").but(json!({"autoscaling": autoscaling, "gateway": {"replicas": 2}}));
    let chat = namespace.apply(&wanted).await?;
    let limited = limited(&namespace).await?;
    chat.is_ready().await?;
    let door = chat.service().await?;
    let calm = Load::start(&door, TINY, 1);
    chat.says(ConditionType::ScalingActive, "True", Reason::ValidMetricFound, STARTED).await?;
    sleep(REACTION).await;
    ensure!(replicas(&chat).await? == 1, "one request per second is one replica's work; {}", told(&chat).await);
    let (start, step) = (Instant::now(), Load::start(&door, TINY, 9));
    eventually("five replicas to be wanted", REACTION, || async {
        let wanted = replicas(&chat).await?;
        ensure!(wanted >= 5, "{wanted} are wanted; {}", told(&chat).await);
        Ok(())
    })
    .await?;
    say(format_args!("five are wanted {:.1} s after the step", start.elapsed().as_secs_f64()));
    chat.is_ready().await?;
    stays("nothing goes down, nor beyond what the load needs", WHILE, || async {
        let wanted = replicas(&chat).await?;
        ensure!((5..=7).contains(&wanted), "{wanted} are wanted; {}", told(&chat).await);
        Ok(())
    })
    .await?;
    let status = status(&chat).await?;
    ensure!(status.targets.as_deref().is_some_and(|targets| targets.starts_with("rps ")), "{status:?}");
    ensure!(status.cold_start.is_some(), "how long replicas take is not told: {status:?}");
    ensure!(status.recent_decisions.iter().any(|decision| decision.reason.ends_with("above target")), "{status:?}");
    for (load, rate) in [(calm, 1), (step, 9)] {
        let lost =
            load.end().await.into_iter().filter(|record| record.outcome != crate::load::Outcome::Answered).count();
        ensure!(lost == 0, "{lost} of the requests of the load of {rate} per second were lost");
    }
    let before = replicas(&chat).await?;
    stays("nothing goes down before its time", WHILE, || async {
        let wanted = replicas(&chat).await?;
        ensure!(wanted == before, "{wanted} are wanted; {}", told(&chat).await);
        Ok(())
    })
    .await?;
    rivals(&chat).await?;
    let [hours, budget] = limited;
    budget.says(ConditionType::ScalingLimited, "True", Reason::InsufficientAccelerators, STARTED).await?;
    for scaled in [hours, budget] {
        let wanted = replicas(&scaled).await?;
        ensure!(wanted == 2, "{wanted} are wanted instead of 2; {}", told(&scaled).await);
    }
    Ok(())
}

/// Without any load: a schedule that is always in force wants two, and two accelerators are one too few for three.
async fn limited(namespace: &Namespace) -> Result<[Deployed; 2]> {
    let always = json!([{"start": "00:00", "end": "00:00", "timeZone": "Asia/Shanghai", "minReplicas": 2}]);
    let target = json!({"concurrency": "4"});
    let by_the_hour = json!({"autoscaling": {"maxReplicas": 3, "target": target, "schedules": always}});
    let by_the_budget =
        json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 3, "target": target, "accelerators": {"max": 2}}});
    let hours = namespace.apply(&simulated("hours").but(by_the_hour)).await?;
    let budget = namespace.apply(&simulated("budget").on("nvidia-h100").but(by_the_budget)).await?;
    Ok([hours, budget])
}

/// Somebody else overrules the operator again and again: it stops, and says who that is.
async fn rivals(chat: &Deployed) -> Result<()> {
    // down is forbidden for minutes, so that only the least number can make the operator write
    chat.change(json!({"autoscaling": {"minReplicas": 6}})).await?;
    for _ in 0..2 {
        eventually("the least number to be wanted", REACTION, || async {
            ensure!(replicas(chat).await? >= 6, "{}", told(chat).await);
            Ok(())
        })
        .await?;
        chat.scale(2).await?;
    }
    let message = chat.says(ConditionType::AbleToScale, "False", Reason::ConflictingController, STARTED).await?;
    ensure!(message.contains("writes spec.replicas, too"), "{message}");
    ensure!(replicas(chat).await? == 2, "the operator goes on all the same");
    Ok(())
}

async fn replicas(chat: &Deployed) -> Result<i32> {
    Ok(chat.get().await?.spec.replicas)
}

async fn status(chat: &Deployed) -> Result<AutoscalingStatus> {
    chat.get().await?.status.and_then(|status| status.autoscaling).context("status.autoscaling is not there")
}

async fn told(chat: &Deployed) -> String {
    status(chat).await.map_or_else(|error| format!("{error:#}"), |status| format!("{status:?}"))
}
