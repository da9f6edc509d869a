//! How long replicas take to be ready, and what one of them ends per second: learned from watching them.
//!
//! ```text
//! cold start   from the look at which a Pod was not there yet to the one at which it serves; the last 20 of them.
//!              While the scheduler finds no place for it, its time has not begun. One in trouble is not measured.
//! on its way   ordered and not serving; ready in H - its age, at least in 5 s. Beyond 2 H + 60 s nobody counts on it any more.
//! service rate ended per second and replica, over 15 s in which requests waited all the time and no replica came or went:
//!              an average in which each such measurement counts for a tenth
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use deepseek_crds::v1alpha1::ColdStartStatus;

use crate::decide::scale::quantity::Quantity;
use crate::observed::Pod;

/// Measurements that are kept.
const SAMPLES: usize = 20;
/// What should be ready by now is expected in so long.
const SOON: Duration = Duration::from_secs(5);
/// Beyond twice its time: how much longer a replica is still counted on.
const OVERDUE: Duration = Duration::from_secs(60);
/// A replica that is ordered has a Pod after this time, or something keeps it from having one.
const MADE: Duration = Duration::from_secs(60);
/// Seconds between two measurements of the service rate.
const PERIOD: Duration = Duration::from_secs(15);
/// How much one measurement counts.
const WEIGHT: f64 = 0.1;

/// Replicas that start.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    looked: Option<Duration>,
    /// All Pods of the last look; those that do not serve yet with the time since when.
    pods: BTreeMap<String, Option<Waiting>>,
    samples: VecDeque<Duration>,
    /// What a predecessor has learned, until there is more.
    inherited: Option<ColdStartStatus>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Duration,
    /// Its start was seen, and nothing went wrong with it.
    measured: bool,
}

impl Starts {
    /// What a predecessor has learned.
    pub fn inherit(status: Option<&ColdStartStatus>) -> Self {
        let seconds = status.and_then(|status| u64::try_from(status.p90_seconds).ok());
        let samples = seconds.map(Duration::from_secs).into_iter().collect();
        Self { samples, inherited: status.cloned(), ..Self::default() }
    }

    /// Looks at the Pods that there are.
    pub fn look(&mut self, pods: &[Pod], now: Duration) {
        let (first, last) = (self.looked.is_none(), self.looked.unwrap_or(now));
        let before = std::mem::take(&mut self.pods);
        for pod in pods.iter().filter(|pod| !pod.terminating) {
            let known = before.get(&pod.uid).copied();
            let waiting = known.unwrap_or(Some(Waiting { since: last, measured: !first }));
            let next = waiting.and_then(|waiting| self.watch(pod, waiting, now));
            self.pods.insert(pod.uid.clone(), next);
        }
        self.looked = Some(now);
    }

    fn watch(&mut self, pod: &Pod, waiting: Waiting, now: Duration) -> Option<Waiting> {
        if pod.serves() {
            if waiting.measured {
                self.measured(now.saturating_sub(waiting.since));
            }
            return None;
        }
        let since = if pod.unschedulable.is_some() { now } else { waiting.since };
        Some(Waiting { since, measured: waiting.measured && pod.trouble.is_none() })
    }

    /// The newest are kept.
    fn measured(&mut self, time: Duration) {
        self.samples.push_back(time);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        self.inherited = None;
    }

    /// In how much time each replica that was ordered will be ready. `cold_start`: how long one takes; `ordered`: when that was.
    pub fn pending(
        &self,
        pods: &[Pod],
        replicas: i32,
        cold_start: Duration,
        ordered: Option<Duration>,
        now: Duration,
    ) -> Vec<Duration> {
        let there = pods.iter().filter(|pod| !pod.terminating);
        let missing = usize::try_from(replicas).unwrap_or(0).saturating_sub(there.clone().count());
        let is_made = ordered.is_some_and(|at| now.saturating_sub(at) < MADE);
        let unmade = std::iter::repeat_n(cold_start.max(SOON), if is_made { missing } else { 0 });
        let made = there.filter(|pod| pod.unschedulable.is_none() && pod.trouble.is_none()).filter_map(|pod| {
            let waiting = self.pods.get(&pod.uid).copied().flatten()?;
            let age = now.saturating_sub(waiting.since);
            let counted_on = age < cold_start.saturating_mul(2).saturating_add(OVERDUE);
            counted_on.then(|| cold_start.saturating_sub(age).max(SOON))
        });
        made.chain(unmade).collect()
    }

    /// Nine of ten were faster.
    pub fn p90(&self) -> Option<Duration> {
        self.quantile(90)
    }

    fn quantile(&self, percent: usize) -> Option<Duration> {
        let mut sorted: Vec<_> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied()
    }

    /// For the status.
    pub fn status(&self) -> Option<ColdStartStatus> {
        if self.inherited.is_some() {
            return self.inherited.clone();
        }
        let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        Some(ColdStartStatus {
            p50_seconds: seconds(self.quantile(50)?),
            p90_seconds: seconds(self.quantile(90)?),
            samples: i32::try_from(self.samples.len()).unwrap_or(i32::MAX),
        })
    }
}

/// What a replica at work ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceRate {
    rate: Option<f64>,
    measured: Option<Duration>,
    /// Replicas that serve, and since when there have been as many.
    ready: Option<(u32, Duration)>,
}

impl ServiceRate {
    /// What a predecessor has learned.
    pub fn inherit(status: Option<&str>) -> Self {
        let rate = status.and_then(Quantity::parse).map(Quantity::approximate).filter(|rate| *rate > 0.0);
        Self { rate, ..Self::default() }
    }

    /// Looks at what is ended per second while requests wait.
    pub fn look(&mut self, busy: Option<f64>, ready: u32, now: Duration) {
        if self.ready.is_none_or(|(before, _)| before != ready) {
            self.ready = Some((ready, now));
        }
        let steady = self.ready.is_some_and(|(_, since)| now.saturating_sub(since) >= PERIOD);
        let due = self.measured.is_none_or(|at| now.saturating_sub(at) >= PERIOD);
        let Some(ended) = busy.filter(|ended| *ended > 0.0 && ready > 0 && steady && due) else { return };
        let each = ended / f64::from(ready);
        self.rate = Some(self.rate.map_or(each, |rate| rate + WEIGHT * (each - rate)));
        self.measured = Some(now);
    }

    /// Requests per second.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Canary, Trouble};

    fn pod(uid: &str, serves: bool) -> Pod {
        let canary = serves.then_some(Canary::Answered);
        Pod { uid: uid.into(), name: uid.into(), ready: serves, canary, ..Pod::default() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_replica_is_timed_from_its_creation_to_its_first_answer() {
        let mut starts = Starts::default();
        starts.look(&[pod("old", true), pod("older", false)], at(0));
        starts.look(&[pod("old", true), pod("older", true), pod("new", false)], at(5));
        assert_eq!(starts.p90(), None, "nobody saw the others start");
        starts.look(&[pod("new", false)], at(90));
        starts.look(&[pod("new", true)], at(95));
        starts.look(&[pod("new", true)], at(100));
        assert_eq!(starts.status(), Some(ColdStartStatus { p50_seconds: 95, p90_seconds: 95, samples: 1 }));
        assert_eq!(Starts::inherit(starts.status().as_ref()).p90(), Some(at(95)));
    }

    #[test]
    fn waiting_for_a_place_and_trouble_are_no_cold_start() {
        let mut starts = Starts::default();
        starts.look(&[], at(0));
        let stuck = Pod { unschedulable: Some("no GPU".into()), ..pod("a", false) };
        let broken = Pod { trouble: Some(Trouble::Image("no such image".into())), ..pod("b", false) };
        starts.look(&[stuck.clone(), broken.clone()], at(5));
        assert!(starts.pending(&[stuck.clone(), broken.clone()], 2, at(100), None, at(5)).is_empty());
        starts.look(&[stuck, broken], at(3600));
        starts.look(&[pod("a", true), pod("b", true)], at(3630));
        assert_eq!(starts.status().map(|status| (status.p90_seconds, status.samples)), Some((30, 1)));
    }

    #[test]
    fn what_is_on_its_way_is_credited_until_it_is_overdue() {
        let mut starts = Starts::default();
        starts.look(&[], at(0));
        let pods = [pod("a", false), pod("b", true)];
        starts.look(&pods, at(10));
        let pending = |now| starts.pending(&pods, 4, at(100), Some(at(10)), at(now));
        assert_eq!(pending(20), [at(80), at(100), at(100)], "one is there, two are ordered");
        assert_eq!(pending(80), [at(20)], "they were not made");
        assert_eq!(pending(150), [SOON]);
        assert!(pending(300).is_empty());
    }

    #[test]
    fn only_the_last_twenty_count() {
        let mut starts = Starts::default();
        (1..=30).map(at).for_each(|time| starts.measured(time));
        assert_eq!((starts.p90(), starts.quantile(50)), (Some(at(28)), Some(at(20))));
    }

    #[test]
    fn a_service_rate_is_learned_slowly_and_only_from_replicas_that_stay() {
        let mut rate = ServiceRate::default();
        rate.look(Some(9.0), 3, at(0));
        assert_eq!(rate.rate(), None, "a replica may just have come");
        rate.look(Some(9.0), 3, at(15));
        assert_eq!(rate.rate(), Some(3.0));
        rate.look(Some(30.0), 3, at(20));
        assert_eq!(rate.rate(), Some(3.0), "the same seconds count once");
        rate.look(Some(30.0), 3, at(30));
        assert!((rate.rate().unwrap() - 3.7).abs() < 1e-9);
        rate.look(Some(30.0), 5, at(45));
        rate.look(None, 3, at(90));
        rate.look(Some(0.0), 3, at(190));
        assert!((rate.rate().unwrap() - 3.7).abs() < 1e-9);
        assert_eq!(ServiceRate::inherit(Some("2700m")).rate(), Some(2.7));
        assert_eq!(ServiceRate::inherit(Some("much")).rate(), None);
    }
}
