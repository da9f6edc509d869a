//! What all gateways together tell: the numbers of the metrics, and the load that the forecast looks ahead with.
//!
//! A sum over all gateways of the mean of each, over the seconds that each has counted. A gateway that is ready counts as one that
//! should tell; one that is on its way out, or not ready, adds what it tells and is not waited for.

use std::time::Duration;

use super::wanted::{Measure, Wanted};
use crate::decide::scale::forecast::{Load, arrivals};
use crate::decide::scale::reading::{Heard, Reading, Values};
use crate::demand::{ASKED, Demand, mean_milli};

/// Seconds of a mean that follows at once.
const MOMENT: usize = 15;
/// Seconds of a mean that is steady.
const MINUTE: usize = 60;
/// Seconds of each of the two means of a trend, and from the end of the first to that of the second.
const TREND: (usize, usize) = (120, 180);
/// Share of what a replica can end that is its target, where the spec names no rate.
const TARGET_SHARE: f64 = 0.75;

/// What the gateways of a deployment tell.
#[derive(Clone, Debug, Default)]
pub struct Gateways<'a> {
    /// As many should tell.
    pub known: u32,
    /// Those that do.
    pub told: Vec<Telling<'a>>,
}

/// What one gateway tells.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// Its counts.
    pub demand: &'a Demand,
    /// When its counts went on last.
    pub advanced: Duration,
    /// It is one of those that should tell.
    pub known: bool,
}

impl Gateways<'_> {
    /// What is read of each metric, in the order of the spec.
    pub fn readings(&self, wanted: &Wanted, now: Duration) -> Vec<Reading> {
        let heard = Heard { from: self.from(), of: self.known };
        let taken = self.told.iter().filter(|telling| telling.known).map(|telling| telling.advanced.min(now)).min();
        let reading = |(measure, _): &(Measure, i64)| {
            let values = Ok(Values::Series(vec![self.milli(*measure)]));
            Reading { values, taken, heard: Some(heard) }
        };
        wanted.measures.iter().map(reading).collect()
    }

    /// Those that should tell and do. One that has not counted a whole second yet does not.
    fn from(&self) -> u32 {
        let telling = self.told.iter().filter(|telling| telling.known && !telling.demand.arrivals.is_empty());
        u32::try_from(telling.count()).unwrap_or(u32::MAX)
    }

    /// For how long nobody has asked any of them; `None` when not all tell.
    pub fn quiet(&self) -> Option<Duration> {
        let complete = self.known > 0 && self.from() == self.known;
        let each = self.told.iter().map(|telling| silence(telling.demand));
        each.min().filter(|_| complete).map(Duration::from_secs)
    }

    /// Somebody waits at this moment.
    pub fn is_asked(&self) -> bool {
        self.told.iter().any(|telling| telling.demand.waiting > 0)
    }

    fn milli(&self, measure: Measure) -> i64 {
        let mean = match measure {
            Measure::RequestsPerSecond => {
                return thousandths(arrivals(self.arrivals(0, MINUTE), self.arrivals(0, MOMENT)));
            }
            Measure::Concurrency => self.mean(|demand| &demand.in_flight, 0, MOMENT),
            Measure::Queued => self.mean(|demand| &demand.queued, 0, MOMENT),
            Measure::TokensPerSecond => self.mean(|demand| &demand.tokens, 0, MINUTE),
        };
        i64::try_from(mean).unwrap_or(i64::MAX)
    }

    /// In thousandths.
    fn mean(&self, of: fn(&Demand) -> &[u32], ago: usize, window: usize) -> u64 {
        let means = self.told.iter().filter_map(|telling| mean_milli(of(telling.demand), ago, window));
        means.fold(0, u64::saturating_add)
    }

    fn arrivals(&self, ago: usize, window: usize) -> f64 {
        whole(self.mean(|demand| &demand.arrivals, ago, window))
    }

    /// What is known of the load.
    pub fn load(
        &self,
        wanted: &Wanted,
        service_rate: Option<f64>,
        ready: u32,
        pending: Vec<Duration>,
        cold_start: Duration,
    ) -> Load {
        let (length, apart) = TREND;
        // a gateway that is younger than the trend would make one
        let old_enough = self.told.iter().all(|telling| telling.demand.arrivals.len() >= ASKED);
        let target = wanted.target(Measure::RequestsPerSecond).and_then(|milli| u64::try_from(milli).ok()).map(whole);
        Load {
            target: target.or(service_rate.map(|rate| rate * TARGET_SHARE)).unwrap_or(0.0),
            service_rate,
            mean_60s: self.arrivals(0, MINUTE),
            mean_15s: self.arrivals(0, MOMENT),
            trend: old_enough.then(|| (self.arrivals(apart, length), self.arrivals(0, length))),
            season: None,
            queued: whole(self.mean(|demand| &demand.queued, 0, MOMENT)),
            patience: wanted.patience,
            ready,
            pending,
            cold_start,
        }
    }

    /// What is ended each second while requests have been waiting without a break; `None` when they have not, or not all is known.
    pub fn busy(&self) -> Option<f64> {
        let complete = self.known > 0 && self.from() == self.known;
        let waited = |ago: usize| {
            self.told.iter().any(|telling| mean_milli(&telling.demand.queued, ago, 1).is_some_and(|n| n > 0))
        };
        (complete && (0..MOMENT).all(waited)).then(|| whole(self.mean(|demand| &demand.served, 0, MOMENT)))
    }
}

/// Seconds at the end of what it tells in which nobody came or was there.
fn silence(demand: &Demand) -> u64 {
    let Demand { arrivals, in_flight, queued, waiting, .. } = demand;
    let zeros = |series: &[u32]| series.iter().rev().take_while(|count| **count == 0).count();
    let all = [arrivals, in_flight, queued].map(|series| zeros(series));
    if *waiting > 0 { 0 } else { all.into_iter().min().and_then(|least| u64::try_from(least).ok()).unwrap_or(0) }
}

/// From thousandths.
#[expect(clippy::cast_precision_loss, reason = "no load is so large that its last digits matter")]
fn whole(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
fn thousandths(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use deepseek_crds::v1alpha1::{Autoscaling, ScalingTarget};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn wanted() -> Wanted {
        let target = ScalingTarget {
            requests_per_second: Some("2".into()),
            queued: Some("4".into()),
            ..ScalingTarget::default()
        };
        let asked = Autoscaling { max_replicas: 9, target: Some(target), ..Autoscaling::default() };
        Wanted::of(&asked, Duration::from_secs(30)).unwrap()
    }

    /// Counts of so many seconds: the last 15 of one size, those before of another.
    fn counts(seconds: usize, before: u32, moment: u32) -> Demand {
        let mut arrivals = vec![before; seconds];
        arrivals[seconds.saturating_sub(MOMENT)..].fill(moment);
        let zeros = vec![0; seconds];
        Demand {
            seconds: seconds as u64,
            arrivals,
            served: zeros.clone(),
            tokens: zeros.clone(),
            in_flight: zeros.clone(),
            queued: zeros,
            waiting: 0,
        }
    }

    fn telling(demand: &Demand) -> Telling<'_> {
        Telling { demand, advanced: NOW, known: true }
    }

    fn rate(gateways: &Gateways<'_>) -> (i64, Heard) {
        let reading = gateways.readings(&wanted(), NOW).swap_remove(0);
        let Ok(Values::Series(series)) = reading.values else { panic!("a series") };
        (series[0], reading.heard.unwrap())
    }

    #[test]
    fn a_burst_counts_at_once_and_noise_does_not() {
        let (calm, burst) = (counts(300, 1, 1), counts(300, 1, 9));
        let both = Gateways { known: 2, told: vec![telling(&calm), telling(&burst)] };
        assert_eq!(rate(&both), (10_000, Heard { from: 2, of: 2 }));
        let noise = counts(300, 1, 2);
        let both = Gateways { known: 2, told: vec![telling(&calm), telling(&noise)] };
        assert_eq!(rate(&both).0, 2250, "the mean of the minute");
    }

    #[test]
    fn a_young_gateway_counts_for_as_long_as_it_is_there() {
        let young = counts(5, 3, 3);
        assert_eq!(rate(&Gateways { known: 1, told: vec![telling(&young)] }).0, 3000);
        let newborn = Demand::default();
        let both = Gateways { known: 2, told: vec![telling(&young), telling(&newborn)] };
        assert_eq!(rate(&both), (3000, Heard { from: 1, of: 2 }), "it has nothing to tell yet");
        assert!(both.load(&wanted(), None, 1, Vec::new(), Duration::ZERO).trend.is_none());
    }

    #[test]
    fn who_leaves_adds_what_it_has_and_is_not_waited_for() {
        let (stays, leaves) = (counts(60, 1, 1), counts(60, 2, 2));
        let leaving = Telling { known: false, advanced: Duration::ZERO, ..telling(&leaves) };
        let both = Gateways { known: 1, told: vec![telling(&stays), leaving] };
        assert_eq!(rate(&both), (3000, Heard { from: 1, of: 1 }));
        assert_eq!(both.readings(&wanted(), NOW)[0].taken, Some(NOW));
    }

    #[test]
    fn a_replica_at_work_is_measured_only_while_somebody_waits() {
        let mut busy = counts(60, 9, 9);
        busy.queued = vec![1; 60];
        busy.served = vec![4; 60];
        assert_eq!(Gateways { known: 1, told: vec![telling(&busy)] }.busy(), Some(4.0));
        assert_eq!(Gateways { known: 2, told: vec![telling(&busy)] }.busy(), None, "another may have idle replicas");
        let mut paused = busy.clone();
        paused.queued[55] = 0;
        assert_eq!(Gateways { known: 1, told: vec![telling(&paused)] }.busy(), None);
        assert_eq!(Gateways::default().busy(), None);
    }
}
