//! Knative's autoscaler (KPA), a yardstick for vectors: the product does not use it. It halves what is ready every two seconds, which cancels
//! replicas that take minutes to load.
//!
//! ```text
//! want    ceil(stable / target), and for the panic window alike
//! both    between floor(ready / maxScaleDownRate), of which at least 0, and ceil(max(1, ready) × maxScaleUpRate)
//! panic   begins, and goes on, while ceil(panic average / target) / max(1, ready) >= threshold; ends a stable window after that
//! n       the larger of the two while in panic, never less than before in the same panic; else the stable one
//! burst   floor(ready × total - targetBurstCapacity - panic average); 0 or -1 as configured, when the target is such
//! ```
//!
//! Source: `autoscaler.Scale` of knative/serving `pkg/autoscaler/scaling/autoscaler.go`, 0.51.

use std::time::Duration;

/// Settings of one revision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knative {
    /// What one replica should get.
    pub target: f64,
    /// What one replica can take.
    pub total: f64,
    /// Requests that should find room at once; 0: none, negative: any number.
    pub target_burst_capacity: f64,
    /// At most so many times as many.
    pub max_scale_up_rate: f64,
    /// At least one so-manieth.
    pub max_scale_down_rate: f64,
    /// So many times what is ready: panic.
    pub panic_threshold: f64,
    /// A panic ends after this time without a reason.
    pub stable_window: Duration,
}

/// Whether there is a panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Panic {
    /// When there last was a reason; `None`: no panic.
    pub since: Option<Duration>,
    /// The most replicas of this panic.
    pub most: i32,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Replicas that are ready.
    pub ready: i32,
    /// Mean of the stable window.
    pub stable: f64,
    /// Mean of the panic window.
    pub panic: f64,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As many replicas.
    pub replicas: i32,
    /// As many requests more would find room.
    pub excess_burst_capacity: i32,
    /// What the next step starts from.
    pub panic: Panic,
}

impl Knative {
    /// One step.
    pub fn step(&self, now: Duration, panic: Panic, measured: Measured) -> Wanted {
        let ready = f64::from(measured.ready.max(1));
        let most = (self.max_scale_up_rate * ready).ceil();
        let least = (ready / self.max_scale_down_rate).floor();
        let raw = |mean: f64| (mean / self.target).ceil();
        let wanted = |mean: f64| whole(raw(mean).max(least).min(most).ceil());
        let (stable, hasty) = (wanted(measured.stable), wanted(measured.panic));
        let over = raw(measured.panic) / ready >= self.panic_threshold;
        let calm = |since| now > self.stable_window.saturating_add(since);
        let since = match panic.since {
            _ if over => Some(now),
            Some(since) if calm(since) => None,
            since => since,
        };
        let before = if panic.since.is_some() { panic.most } else { 0 };
        let most = if since.is_some() { stable.max(hasty).max(before) } else { 0 };
        Wanted {
            replicas: if since.is_some() { most } else { stable },
            excess_burst_capacity: self.burst(measured),
            panic: Panic { since, most },
        }
    }

    fn burst(&self, measured: Measured) -> i32 {
        if self.target_burst_capacity == 0.0 {
            return 0;
        }
        if self.target_burst_capacity < 0.0 {
            return -1;
        }
        let room = f64::from(measured.ready) * self.total;
        whole((room - self.target_burst_capacity - measured.panic).floor())
    }
}

/// Of a number without a fraction; it saturates.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
fn whole(value: f64) -> i32 {
    value as i32
}

mod tests {
    use super::*;

    fn knative() -> Knative {
        Knative {
            target: 1.0,
            total: 4.0 / 3.0,
            target_burst_capacity: 98.0,
            max_scale_up_rate: 10.0,
            max_scale_down_rate: 2.0,
            panic_threshold: 2.0,
            stable_window: Duration::from_secs(60),
        }
    }

    fn measured(ready: i32, stable: f64, panic: f64) -> Measured {
        Measured { ready, stable, panic }
    }

    #[test]
    fn a_panic_goes_up_only_and_ends_a_window_later() {
        let at = Duration::from_secs;
        let first = knative().step(at(0), Panic::default(), measured(10, 11.0, 25.0));
        assert_eq!((first.replicas, first.panic.since), (25, Some(at(0))));
        let second = knative().step(at(60), first.panic, measured(25, 20.0, 20.0));
        assert_eq!(second.replicas, 25, "the edge of the window is still panic");
        let third = knative().step(at(61), second.panic, measured(25, 20.0, 20.0));
        assert_eq!((third.replicas, third.panic), (20, Panic::default()));
    }

    #[test]
    fn it_halves_what_is_ready_and_multiplies_it() {
        let calm = |measured| knative().step(Duration::ZERO, Panic::default(), measured).replicas;
        assert_eq!(calm(measured(9, 0.0, 0.0)), 4);
        assert_eq!(calm(measured(1, 0.0, 0.0)), 0);
        assert_eq!(calm(measured(0, 99.0, 99.0)), 10, "none counts as one");
    }

    #[test]
    fn room_for_a_burst_is_what_is_left() {
        let room = |target_burst_capacity| {
            let knative = Knative { target_burst_capacity, ..knative() };
            knative.step(Duration::ZERO, Panic::default(), measured(75, 1.0, 1.5)).excess_burst_capacity
        };
        assert_eq!((room(98.0), room(0.0), room(-1.0)), (0, 0, -1));
        assert_eq!(room(99.0), -1, "rounded down");
    }
}
