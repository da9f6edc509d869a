//! How often a status is written while a deployment is on its way up: what somebody waits for at once, the steps to it once a
//! second, the first one a second after the deployment was seen. Each write costs the API server as much as three creations of a
//! deployment, and every watcher something; and replicas come up within moments of each other.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deepseek_crds::DeepSeekDeploymentStatus;
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tokio::time::Instant;

/// At least this long after the last write.
const STEP: Duration = Duration::from_secs(1);
/// What is older is forgotten: longer than a pass may come late, so that none waits twice.
const KEPT: Duration = Duration::from_secs(30);
/// Reasons for not being ready that pass by themselves.
const PASSING: [Reason; 4] = [Reason::Pending, Reason::Starting, Reason::RollingOut, Reason::SomeReplicasAnswer];

/// When the status of each deployment, by its UID, was written last, or the deployment was seen first.
#[derive(Default)]
pub struct Pace(Mutex<HashMap<String, Instant>>);

impl Pace {
    /// How long the new status may wait; `None`: not at all.
    pub fn wait(
        &self,
        uid: &str,
        before: &DeepSeekDeploymentStatus,
        after: &DeepSeekDeploymentStatus,
    ) -> Option<Duration> {
        if !is_step(before, after) {
            return None;
        }
        let mut all = self.lock();
        let at = if before.observed_generation.is_none() {
            *all.entry(uid.to_owned()).or_insert_with(Instant::now)
        } else {
            *all.get(uid)?
        };
        let left = STEP.saturating_sub(at.elapsed());
        (!left.is_zero()).then_some(left)
    }

    /// It has just been written.
    pub fn written(&self, uid: String) {
        let mut all = self.lock();
        all.retain(|_, at| at.elapsed() < KEPT);
        all.insert(uid, Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it was on its way up and still is, by the same generation or the first one; nothing that was well has ended.
fn is_step(before: &DeepSeekDeploymentStatus, after: &DeepSeekDeploymentStatus) -> bool {
    let passing = |status| {
        let ready = find(status, ConditionType::Ready);
        ready.is_some_and(|c| c.status != "True" && PASSING.iter().any(|reason| reason.as_str() == c.reason))
    };
    let available = |status| find(status, ConditionType::Available).is_some_and(|c| c.status == "True");
    before.observed_generation.is_none_or(|generation| after.observed_generation == Some(generation))
        && passing(before)
        && passing(after)
        && (available(after) || !available(before))
}

fn find(status: &DeepSeekDeploymentStatus, condition: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|c| c.type_ == condition.as_str())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(ready: Reason, available: bool) -> DeepSeekDeploymentStatus {
        let condition = |type_: ConditionType, holds: bool, reason: Reason| Condition {
            type_: type_.to_string(),
            status: if holds { "True" } else { "False" }.to_owned(),
            reason: reason.to_string(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        let conditions = vec![
            condition(ConditionType::Ready, ready == Reason::AllReplicasAnswer, ready),
            condition(ConditionType::Available, available, Reason::CanaryAnswered),
        ];
        DeepSeekDeploymentStatus { observed_generation: Some(1), conditions, ..DeepSeekDeploymentStatus::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_step_waits_for_a_second_one_or_a_second() {
        let pace = Pace::default();
        let new = DeepSeekDeploymentStatus { observed_generation: None, ..status(Reason::Pending, false) };
        let starting = status(Reason::Starting, false);
        assert_eq!(pace.wait("a", &new, &starting), Some(STEP));
        assert_eq!(pace.wait("a", &new, &status(Reason::AllReplicasAnswer, true)), None, "ready");
        assert_eq!(pace.wait("a", &new, &status(Reason::UnknownModel, false)), None, "trouble");
        tokio::time::advance(STEP).await;
        pace.written("b".into());
        assert_eq!(pace.wait("a", &new, &starting), None, "it has waited");
    }

    #[test]
    fn only_steps_on_the_way_up_may_wait() {
        let pace = Pace::default();
        let (starting, some) = (status(Reason::Starting, false), status(Reason::SomeReplicasAnswer, true));
        assert_eq!(pace.wait("a", &starting, &some), None, "nothing was written yet");
        pace.written("a".into());
        assert!(pace.wait("a", &starting, &some).is_some_and(|wait| wait <= STEP));
        assert_eq!(pace.wait("b", &starting, &some), None, "another deployment");
        let all = status(Reason::AllReplicasAnswer, true);
        assert_eq!(pace.wait("a", &some, &all), None, "ready");
        assert_eq!(pace.wait("a", &all, &some), None, "no longer ready");
        assert_eq!(pace.wait("a", &some, &starting), None, "no longer available");
        assert_eq!(pace.wait("a", &some, &status(Reason::EngineCrashing, true)), None, "trouble");
    }
}
