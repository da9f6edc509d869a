//! What a pass leaves for the next one: recommendations, changes, and the status.
//!
//! A slot is used again once its entry is older than every window (recommendations) or than the longest period of its own direction
//! (changes): only the last such slot, so that the answers are those of the HPA to the last corner. An up-policy that is longer than
//! every down-policy misses changes down that were forgotten, there as here.
//!
//! Source: `stabilizeRecommendation`, `stabilizeRecommendationWithBehaviors`, `storeScaleEvent`, `markScaleEventsOutdated`,
//! `getReplicasChangePerPeriod` of k8s.io/kubernetes `pkg/controller/podautoscaler/horizontal.go`, v1.37.2.

use std::time::Duration;

use super::conditions::Conditions;
use super::metric::Current;

/// What a pass leaves for the next one. Only `status` survives a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Recommendations before any limit; `None` before the first pass.
    pub recommendations: Option<Vec<Recommendation>>,
    /// Changes up, while there is a `behavior`.
    pub ups: Vec<Change>,
    /// Changes down, while there is a `behavior`.
    pub downs: Vec<Change>,
    /// `status` of the autoscaler.
    pub status: Status,
}

/// How many replicas a pass would have had without any limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// As many.
    pub replicas: i32,
    /// When.
    pub at: Duration,
}

/// A change of the number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// By how many; the list says in which direction.
    pub replicas: i32,
    /// When.
    pub at: Duration,
    /// Its slot may be used again.
    pub outdated: bool,
}

/// `status` of the autoscaler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// `currentReplicas`.
    pub current_replicas: i32,
    /// `desiredReplicas`.
    pub desired_replicas: i32,
    /// `lastScaleTime`.
    pub last_scale_time: Option<Duration>,
    /// `currentMetrics`, in the order of `spec.metrics`; `None` for one that failed.
    pub current_metrics: Vec<Option<Current>>,
    /// `conditions`.
    pub conditions: Conditions,
}

impl Memory {
    /// Logs a recommendation, in the last slot whose entry is `old` if there is one.
    pub(super) fn recommend(&mut self, replicas: i32, at: Duration, old: impl Fn(&Recommendation) -> bool) {
        let log = self.recommendations.get_or_insert_default();
        put(log, Recommendation { replicas, at }, old);
    }

    /// Logs a change; `longest` is the longest period of the policies in its direction.
    pub fn change(&mut self, from: i32, to: i32, at: Duration, longest: Duration) {
        let changes = if to > from { &mut self.ups } else { &mut self.downs };
        let cutoff = at.saturating_sub(longest);
        for change in changes.iter_mut().filter(|change| change.at < cutoff) {
            change.outdated = true;
        }
        let change = Change { replicas: to.saturating_sub(from).saturating_abs(), at, outdated: false };
        put(changes, change, |change| change.outdated);
    }
}

fn put<T>(slots: &mut Vec<T>, new: T, old: impl Fn(&T) -> bool) {
    match slots.iter().rposition(old) {
        Some(slot) => slots[slot] = new,
        None => slots.push(new),
    }
}

/// How many replicas were changed within a period.
pub fn changed(changes: &[Change], period: Duration, now: Duration) -> i32 {
    let cutoff = now.saturating_sub(period);
    changes.iter().filter(|change| change.at > cutoff).fold(0, |sum, change| sum.saturating_add(change.replicas))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn ago(seconds: u64) -> Duration {
        NOW.saturating_sub(Duration::from_secs(seconds))
    }

    #[test]
    fn the_last_old_slot_is_used_again() {
        let logged = [(10, 600), (4, 60), (9, 540), (5, 120)];
        let log = logged.map(|(replicas, age)| Recommendation { replicas, at: ago(age) });
        let mut memory = Memory { recommendations: Some(log.to_vec()), ..Memory::default() };
        memory.recommend(3, NOW, |logged| logged.at < ago(300));
        let replicas =
            |memory: &Memory| memory.recommendations.iter().flatten().map(|one| one.replicas).collect::<Vec<_>>();
        assert_eq!(replicas(&memory), [10, 4, 3, 5]);
        memory.recommend(2, NOW, |logged| logged.at < ago(300));
        memory.recommend(1, NOW, |logged| logged.at < ago(300));
        assert_eq!(replicas(&memory), [2, 4, 3, 5, 1]);
    }

    #[test]
    fn what_is_outdated_once_stays_so_and_counts_until_its_slot_is_used() {
        let ups = [(8, 29), (6, 61), (7, 62)].map(|(replicas, age)| Change { replicas, at: ago(age), outdated: false });
        let mut memory = Memory { ups: ups.to_vec(), ..Memory::default() };
        memory.change(4, 9, NOW, Duration::from_secs(60));
        let told: Vec<_> = memory.ups.iter().map(|change| (change.replicas, change.outdated)).collect();
        assert_eq!(told, [(8, false), (6, true), (5, false)]);
        assert_eq!(changed(&memory.ups, Duration::from_secs(120), NOW), 19);
        assert_eq!(changed(&memory.ups, Duration::from_secs(61), NOW), 13, "the edge does not count");
        memory.change(9, 2, NOW, Duration::from_secs(60));
        assert_eq!((memory.ups.len(), memory.downs[0].replicas), (3, 7));
    }
}
