//! How often a status is written while a deployment is on its way up: what somebody waits for at once, the steps to it once a
//! second. Each write costs the API server, every watcher and this process; and replicas come up within moments of each other.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deepseek_crds::DeepSeekDeploymentStatus;
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tokio::time::Instant;

/// At least this long after the last write.
const STEP: Duration = Duration::from_secs(1);
/// Reasons for not being ready that pass by themselves.
const PASSING: [Reason; 3] = [Reason::Starting, Reason::RollingOut, Reason::SomeReplicasAnswer];

/// When the status of each deployment, by its UID, was written last; what is older than a step is forgotten.
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
        let written = *self.lock().get(uid)?;
        let left = STEP.saturating_sub(written.elapsed());
        (is_step(before, after) && !left.is_zero()).then_some(left)
    }

    /// It has just been written.
    pub fn written(&self, uid: String) {
        let mut all = self.lock();
        all.retain(|_, at| at.elapsed() < STEP);
        all.insert(uid, Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it was on its way up and still is, by the same generation; nothing that was well has ended.
fn is_step(before: &DeepSeekDeploymentStatus, after: &DeepSeekDeploymentStatus) -> bool {
    let passing = |status| {
        let ready = find(status, ConditionType::Ready);
        ready.is_some_and(|c| c.status != "True" && PASSING.iter().any(|reason| reason.as_str() == c.reason))
    };
    let available = |status| find(status, ConditionType::Available).is_some_and(|c| c.status == "True");
    before.observed_generation == after.observed_generation
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
        DeepSeekDeploymentStatus { conditions, ..DeepSeekDeploymentStatus::default() }
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
