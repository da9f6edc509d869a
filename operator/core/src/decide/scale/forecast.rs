//! How many replicas does the load need at the time when one that is ordered now is ready?
//!
//! ```text
//! μ   requests that a replica at work ends per second          learned; until then requestsPerSecond / 0.75
//! λ   arrivals per second: the mean of 60 s, or that of 15 s if it is above by more than 3 sqrt(count) of these 15 s
//! λ'  λ + 0.7 × slope × min(H, 180 s), at most 1.5 λ           if two means of 2 min, 3 min apart, differ by more than 3 σ, upwards;
//!     at least what the season expects
//! B   requests that wait now; then for k = 0, 10 s, … < H:     H: how long a replica takes to be ready (p90), at most an hour
//!     B = clamp(B + min(10 s, H - k) × (λ - μ × (ready + pending with ETA <= k)), 0, λ × patience)
//!
//! n   λ' / target + B / (μ × drain)                            drain = 45 s; held within the tolerance, or the least number that is
//! ```
//!
//! Arrivals alone leave the queue of a cold start standing for ever; requests in flight alone order it anew in every pass. Here pending
//! replicas lower B, so that nothing is ordered twice; one that fails or finds no place loses its ETA and is no longer credited.
//!
//! Units: requests per second, requests, seconds. What is negative or no number counts as 0. The rules and constants are ours.

use std::time::Duration;

use super::metric::Tolerance;
use super::number::ceil32;

/// A queue should be gone after so many seconds of work.
const DRAIN: f64 = 45.0;
/// Share of what a replica can do that its target is.
const TARGET_SHARE: f64 = 0.75;
/// One step of the look ahead, in seconds.
const STEP: u16 = 10;
/// Nothing is looked at further ahead, in seconds.
const FARTHEST: f64 = 3600.0;
/// A trend is not drawn out longer, in seconds.
const TREND: f64 = 180.0;

/// What the gateways know of the load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Arrivals per second that one replica should get.
    pub target: f64,
    /// Requests per second that one replica ends while others wait; `None` until it is learned.
    pub service_rate: Option<f64>,
    /// Mean arrivals per second of the last minute.
    pub mean_60s: f64,
    /// Mean arrivals per second of the last 15 s.
    pub mean_15s: f64,
    /// Means of two minutes each: the one that ended three minutes ago, and the last one. `None`: no trend.
    pub trend: Option<(f64, f64)>,
    /// Arrivals per second that the season expects when a replica that is ordered now is ready.
    pub season: Option<f64>,
    /// Requests that wait.
    pub queued: f64,
    /// How long a request waits before its client gives up.
    pub patience: Duration,
    /// Replicas that serve.
    pub ready: u32,
    /// Replicas on their way: in how much time each will be ready.
    pub pending: Vec<Duration>,
    /// How long a replica takes to be ready (H).
    pub cold_start: Duration,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Requests that a replica ends per second (μ).
    pub service_rate: f64,
    /// Arrivals per second now (λ).
    pub arrivals: f64,
    /// Arrivals per second that are expected (λ').
    pub expected: f64,
    /// Requests that will wait (B).
    pub backlog: f64,
    /// Replicas, before rounding.
    pub wanted: f64,
    /// Replicas.
    pub replicas: i32,
}

impl Load {
    /// `None` when there is nothing to measure by.
    pub(super) fn forecast(&self, current: i32, tolerance: Tolerance) -> Option<Forecast> {
        let target = Some(sound(self.target)).filter(|target| *target > 0.0)?;
        let learned = self.service_rate.map(sound).filter(|rate| *rate > 0.0);
        let service_rate = learned.unwrap_or(target / TARGET_SHARE);
        let arrivals = self.arrivals();
        let expected = self.expected(arrivals);
        let backlog = self.backlog(arrivals, service_rate);
        let wanted = expected / target + backlog / (service_rate * DRAIN);
        let hold = current > 0 && tolerance.allows(wanted / f64::from(current));
        // what the tolerance would hold need not be ordered: a few requests that wait are no replica
        let replicas = if hold { current } else { ceil32(wanted / (1.0 + tolerance.up.max(0.0))) };
        Some(Forecast { service_rate, arrivals, expected, backlog, wanted, replicas })
    }

    fn arrivals(&self) -> f64 {
        arrivals(self.mean_60s, self.mean_15s)
    }

    fn expected(&self, arrivals: f64) -> f64 {
        let (before, last) = self.trend.map_or((0.0, 0.0), |(before, last)| (sound(before), sound(last)));
        let noise = 3.0 * ((before + last) / 120.0).sqrt();
        let rise = last - before;
        let ahead = self.cold_start.as_secs_f64().min(TREND);
        let trend = if rise > noise { rise / TREND * ahead * 0.7 } else { 0.0 };
        (arrivals + trend).min(1.5 * arrivals).max(self.season.map_or(0.0, sound))
    }

    fn backlog(&self, arrivals: f64, service_rate: f64) -> f64 {
        let ahead = self.cold_start.as_secs_f64().min(FARTHEST);
        let most = arrivals * self.patience.as_secs_f64();
        let steps = (0_u16..).step_by(STEP.into()).map(f64::from).take_while(|at| *at < ahead);
        steps.fold(sound(self.queued), |backlog, at| {
            let arrived = self.pending.iter().filter(|eta| eta.as_secs_f64() <= at).map(|_| 1.0).sum::<f64>();
            let ended = service_rate * (f64::from(self.ready) + arrived);
            let step = f64::from(STEP).min(ahead - at);
            (backlog + step * (arrivals - ended)).clamp(0.0, most)
        })
    }
}

/// Arrivals per second (λ), from the mean of a minute and that of its last 15 s.
pub fn arrivals(mean_60s: f64, mean_15s: f64) -> f64 {
    let (minute, moment) = (sound(mean_60s), sound(mean_15s));
    let noise = 3.0 * (moment * 15.0).sqrt() / 15.0;
    if moment - minute > noise { moment } else { minute }
}

/// A measurement that is one.
fn sound(measured: f64) -> f64 {
    if measured.is_finite() { measured.clamp(0.0, 1e12) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Tolerance = Tolerance { down: 0.1, up: 0.1 };

    /// Four replicas for two requests per second each, which get 8; a replica takes three minutes.
    fn steady() -> Load {
        Load {
            target: 2.0,
            mean_60s: 8.0,
            mean_15s: 8.0,
            patience: Duration::from_secs(120),
            ready: 4,
            cold_start: Duration::from_secs(180),
            ..Load::default()
        }
    }

    fn replicas(load: &Load, current: i32) -> i32 {
        load.forecast(current, TOLERANCE).unwrap().replicas
    }

    #[test]
    fn what_is_enough_stays() {
        assert_eq!(replicas(&steady(), 4), 4);
    }

    #[test]
    fn a_queue_is_worked_off() {
        let waiting = Load { queued: 500.0, ready: 3, ..steady() };
        assert!(replicas(&waiting, 3) > 4);
    }

    #[test]
    fn a_few_requests_that_wait_are_no_replica() {
        let few = Load { queued: 12.0, cold_start: Duration::ZERO, ..steady() };
        assert_eq!((replicas(&few, 4), replicas(&few, 1)), (4, 4), "4.1 are wanted");
        let many = Load { queued: 120.0, ..few };
        assert_eq!((replicas(&many, 4), replicas(&many, 1)), (5, 5), "5 are");
    }

    #[test]
    fn what_is_on_its_way_is_not_ordered_again() {
        let step = Load { mean_60s: 20.0, mean_15s: 20.0, ..steady() };
        let first = step.forecast(4, TOLERANCE).unwrap();
        let credited = Load { pending: vec![Duration::from_secs(30); 8], ..step.clone() };
        let second = credited.forecast(12, TOLERANCE).unwrap();
        assert!(second.backlog < first.backlog);
        assert!(second.replicas < first.replicas);
        assert_eq!(second.replicas, 10, "what the arrivals need: those on their way are enough for the queue");
    }

    #[test]
    fn a_short_cold_start_is_looked_ahead_for_as_long_as_it_is() {
        let step =
            |seconds| Load { mean_60s: 20.0, mean_15s: 20.0, cold_start: Duration::from_secs(seconds), ..steady() };
        let backlog = |seconds| step(seconds).forecast(4, TOLERANCE).unwrap().backlog;
        assert!((backlog(2) * 6.0 - backlog(12)).abs() < 1e-9, "{} {}", backlog(2), backlog(12));
        assert!(backlog(0).abs() < 1e-9);
    }

    #[test]
    fn only_a_burst_that_is_no_chance_counts() {
        let noise = Load { mean_15s: 9.0, ..steady() };
        let burst = Load { mean_15s: 16.0, ..steady() };
        assert!((noise.arrivals() - 8.0).abs() < 1e-9);
        assert!((burst.arrivals() - 16.0).abs() < 1e-9);
    }

    #[test]
    fn a_trend_raises_and_never_lowers() {
        let rising = Load { trend: Some((4.0, 8.0)), ..steady() };
        assert!((rising.expected(8.0) - 10.8).abs() < 1e-9, "4 in 180 s, 0.7 of it");
        let falling = Load { trend: Some((12.0, 8.0)), ..steady() };
        assert!((falling.expected(8.0) - 8.0).abs() < 1e-9);
        let steep = Load { trend: Some((0.0, 30.0)), ..steady() };
        assert!((steep.expected(8.0) - 12.0).abs() < 1e-9, "half as much again at most");
        let season = Load { season: Some(20.0), ..steady() };
        assert!((season.expected(8.0) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_number_asks_for_nothing() {
        let absurd =
            Load { mean_60s: f64::NAN, mean_15s: -1.0, queued: f64::INFINITY, season: Some(f64::NAN), ..steady() };
        assert_eq!(replicas(&absurd, 0), 0);
        assert_eq!(Load { target: 0.0, ..steady() }.forecast(1, TOLERANCE), None);
        assert_eq!(Load { target: f64::NAN, ..steady() }.forecast(1, TOLERANCE), None);
        let endless = Load { cold_start: Duration::MAX, queued: 1e300, ready: 0, ..steady() };
        assert!(replicas(&endless, 4) > 4);
    }
}
