//! Where we differ from the HPA, each with its own switch. [`Guards::default`] turns all of them off: then we are the HPA.
//!
//! ```text
//! validity        a number that is too old, is negative, or was told by fewer than there are, is no number; what was told of a sum
//!                 is a bound from below, which may raise. Zero from all of them is a number.
//! count_ordered   ordered replicas stand in for those that are accepted (AverageValue) or ready (Value)
//! forecast        one more proposal in the maximum: see `forecast`; it may only raise when a metric has failed
//! our_behavior    without `behavior`: up as in the HPA, down a quarter a minute, tolerance 0.05 up and 0.15 down
//! cold_start      a window down that is not set is at least two cold starts
//! outage          a pass that fails logs the current number, so that the window is not empty when metrics come back
//! limits          see below; the last one that binds is the reason of ScalingLimited
//! ```
//!
//! Limits, in this order: frozen down (a roll-out, a fail-over) · schedule · fail-over floor · `maxReplicas` · accelerator budget ·
//! what can be scheduled. The later one wins: a budget below `minReplicas` is kept, and said.
//!
//! The HPA is silent about all of these; the rules are ours.

use std::time::Duration;

use super::forecast::Load;
use super::input::{Behavior, Policy, PolicyKind, Rules, SelectPolicy};
use super::reading::{Heard, Reading, Values};

/// Where we differ from the HPA.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guards {
    /// Which numbers are none.
    pub validity: Option<Validity>,
    /// Ordered replicas are counted, not those that are there.
    pub count_ordered: bool,
    /// What is on its way, and what waits for it.
    pub forecast: Option<Load>,
    /// Our own behaviour where none is given.
    pub our_behavior: bool,
    /// How long a replica takes to be ready, learned.
    pub cold_start: Option<Duration>,
    /// A pass that fails is remembered.
    pub outage: bool,
    /// What else limits the number of replicas.
    pub limits: Limits,
}

/// Which numbers are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Older ones. Default of the product: 30 s.
    pub stale_after: Duration,
}

/// What else limits the number of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Nothing goes down.
    pub frozen: Option<Freeze>,
    /// The least and the most at this hour.
    pub schedule: Option<(i32, i32)>,
    /// What the peer's traffic needs, after a fail-over.
    pub failover_floor: Option<i32>,
    /// What the accelerators that may be used are enough for.
    pub budget: Option<i32>,
    /// What has found its place, when the rest never will.
    pub schedulable: Option<i32>,
}

/// Why nothing goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeze {
    /// A roll-out is under way.
    Rollout,
    /// A fail-over, or a node is drained.
    Failover,
}

/// A limit that was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Its name: the reason of `ScalingLimited`.
    pub by: &'static str,
    /// The same in words.
    pub message: &'static str,
    /// What it allowed instead.
    pub to: i32,
}

impl Limits {
    /// What is left of `desired`, and every limit that changed it, in order. `weighed`: it is a recommendation, and not the
    /// user's own bound, which no freeze stops.
    pub(super) fn apply(&self, current: i32, desired: i32, max: i32, weighed: bool) -> (i32, Vec<Limited>) {
        if *self == Self::default() {
            return (desired, Vec::new());
        }
        let Self { frozen, schedule, failover_floor, budget, schedulable } = *self;
        let mut left = desired;
        let mut limited = Vec::new();
        let mut bind = |to: i32, by, message| {
            if to != left {
                left = to;
                limited.push(Limited { by, message, to });
            }
            left
        };
        let mut at = desired;
        if let Some(freeze) = frozen.filter(|_| weighed) {
            let (by, message) = freeze.words();
            at = bind(at.max(current), by, message);
        }
        if let Some((least, most)) = schedule {
            at = bind(
                at.min(most).max(least),
                "Scheduled",
                "a schedule asks for another number of replicas at this hour",
            );
        }
        if let Some(floor) = failover_floor {
            at = bind(at.max(floor), "FailoverFloor", "the traffic of the peer needs as many replicas");
        }
        at = bind(at.min(max), "TooManyReplicas", "the desired replica count is more than the maximum replica count");
        if let Some(budget) = budget {
            let message = "spec.autoscaling.accelerators.max is enough for fewer replicas";
            at = bind(at.min(budget.max(0)), INSUFFICIENT, message);
        }
        if let Some(most) = schedulable {
            bind(
                at.min(most.max(0)),
                INSUFFICIENT,
                "no node has room for more replicas; they are ordered again when there is",
            );
        }
        (left, limited)
    }
}

const INSUFFICIENT: &str = "InsufficientAccelerators";

impl Freeze {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Rollout => ("RolloutFreeze", "nothing goes down while a roll-out is under way"),
            Self::Failover => {
                ("FailoverFreeze", "nothing goes down for a while after a fail-over or while a node is drained")
            }
        }
    }
}

/// What a reading is good for.
pub(super) enum Checked<'a> {
    /// For everything.
    Valid(&'a Values),
    /// Nothing was read.
    Unread(&'a str),
    /// What was read cannot be.
    Refused(String),
    /// What was read is too old.
    Stale(String),
    /// What was read is a part of the sum.
    Partial(&'a Values, String),
}

/// What a reading is good for. Without the guard only what could not be read is not.
pub(super) fn checked<'a>(reading: &'a Reading, validity: Option<&Validity>, now: Duration) -> Checked<'a> {
    let values = match &reading.values {
        Err(why) => return Checked::Unread(why),
        Ok(values) => values,
    };
    let Some(validity) = validity else { return Checked::Valid(values) };
    let negative = match values {
        Values::PerPod(samples) => samples.values().any(|sample| sample.value < 0),
        Values::Series(series) => series.iter().any(|value| *value < 0),
    };
    if negative {
        return Checked::Refused("a number of it is negative".into());
    }
    let age = reading.taken.map(|taken| now.saturating_sub(taken));
    if let Some(age) = age.filter(|age| *age > validity.stale_after) {
        return Checked::Stale(format!("its numbers are {} s old", age.as_secs()));
    }
    match (reading.heard, values) {
        (Some(Heard { from, of }), Values::Series(_)) if from < of && from > 0 => {
            Checked::Partial(values, format!("{from} of {of} gateways answer"))
        }
        (Some(Heard { from, of }), _) if from < of => Checked::Refused(format!("{from} of {of} gateways answer")),
        (Some(Heard { of: 0, .. }), _) => Checked::Refused("there is no gateway".into()),
        _ => Checked::Valid(values),
    }
}

/// How fast we go when nobody has said it.
pub fn our_behavior() -> Behavior {
    let policy = |kind, value, seconds| Policy { kind, value, period: Duration::from_secs(seconds) };
    let up = vec![policy(PolicyKind::Pods, 4, 15), policy(PolicyKind::Percent, 100, 15)];
    let rules = |stabilization_window, policies, tolerance| Rules {
        stabilization_window,
        select_policy: SelectPolicy::Max,
        policies,
        tolerance: Some(tolerance),
    };
    Behavior {
        scale_up: rules(Some(Duration::ZERO), up, 0.05),
        scale_down: rules(None, vec![policy(PolicyKind::Percent, 25, 60)], 0.15),
    }
}
