//! How many replicas? The Horizontal Pod Autoscaler to the letter, and guards for models that take minutes to load.
//!
//! ```text
//! scale cannot be read                          nothing                     AbleToScale=False/FailedGetScale
//! c = 0, and it was not us who went there       nothing                     ScalingActive=False/ScalingDisabled
//! c > max,  0 < c < min                         max, min                    no metric is asked, no rate is kept
//! otherwise                                     m = max over the metrics    see `metric`, `pods`
//!   all failed, or one failed and m < c         nothing                     ScalingActive=False/…
//!   otherwise                                   stabilise, limit: `rate`
//! ```
//!
//! c is `spec.replicas` of the target. It was us, if the last change of all went from more than zero to zero, with `minReplicas: 0` and an
//! Object or External metric (condition `ScaledToZero`); from zero, `min` is not less than before.
//!
//! | To find | Open |
//! |---|---|
//! | what is looked at | [`input`], [`reading`]; how it is read from `autoscaling/v2`: [`v2`], [`quantity`] |
//! | one metric | [`metric`], [`pods`] |
//! | stabilisation, policies, limits | [`rate`] |
//! | what is kept from pass to pass | [`memory`], [`conditions`] |
//! | where we differ from the HPA | [`guards`], [`forecast`] |
//!
//! With [`Guards::default`](guards::Guards) this **is** `autoscaling/v2` of Kubernetes 1.37: `make test-hpa-oracle` compares it with
//! the controller itself. Source: `reconcileAutoscaler`, `computeReplicasForMetrics`, `shouldComputeMetricsForZeroReplicas` of
//! k8s.io/kubernetes `pkg/controller/podautoscaler/horizontal.go`, v1.37.2.
//!
//! Pure and total: no clock, no failure. A pass is [`decide`], then the write, then [`Decision::settle`] with what came of it. All
//! intermediate numbers stay in the [`Decision`].

pub mod conditions;
pub mod forecast;
pub mod guards;
pub mod input;
pub mod memory;
pub mod metric;
mod number;
mod pass;
pub mod pods;
pub mod quantity;
pub mod rate;
pub mod reading;
pub mod v2;
mod words;

use std::time::Duration;

use conditions::Condition;
use forecast::Forecast;
use guards::Limited;
pub use input::Input;
use memory::Memory;
use metric::{Failure, Proposal, Tolerance};
use pass::Pass;
use rate::{Rated, Stabilised};

/// What is to be done, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Replicas of the target as they were read.
    pub current: i32,
    /// Replicas that the target should have.
    pub desired: i32,
    /// What is to be written; `None`: nothing.
    pub rescale: Option<Rescale>,
    /// What each metric asks for, in the order of the spec; empty when none was asked.
    pub metrics: Vec<Result<Proposal, Failure>>,
    /// What the forecast asks for.
    pub forecast: Option<Forecast>,
    /// The ratios that change nothing.
    pub tolerance: Tolerance,
    /// After earlier recommendations were heard.
    pub stabilised: Option<Stabilised>,
    /// After policies, `min` and `max`.
    pub rated: Option<Rated>,
    /// Guards that changed the number, in order.
    pub limited_by: Vec<Limited>,
    /// Left for the next pass if nothing is written, or the write fails without a word.
    pub memory: Memory,
    /// What the write would make of it.
    written: Option<Written>,
}

/// A write of the scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescale {
    /// From as many.
    pub from: i32,
    /// To as many.
    pub to: i32,
    /// For the event: "New size: …; reason: …".
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Written {
    scaled_to_zero: Option<Condition>,
    longest: Option<[Duration; 2]>,
    now: Duration,
}

/// Decides.
///
/// # Guarantees
/// Between `min` and `max`, and never above the budget where there is one; never down while a metric that could forbid it is unknown;
/// the same answer to the same input.
pub fn decide(input: &Input) -> Decision {
    match &input.scale {
        Ok(scale) => Pass::new(input, *scale).run(),
        Err(why) => unreadable(input, why),
    }
}

fn unreadable(input: &Input, why: &str) -> Decision {
    let message = format!("the HPA controller was unable to get the target's current scale: {why}");
    let mut memory = input.memory.clone();
    memory.status.conditions.able_to_scale = Some(Condition::no("FailedGetScale", message));
    Decision::nothing(memory.status.current_replicas, Tolerance::of(input.controller, None), memory)
}

impl Decision {
    /// Nothing is done.
    fn nothing(current: i32, tolerance: Tolerance, memory: Memory) -> Self {
        Self {
            current,
            desired: current,
            rescale: None,
            metrics: Vec::new(),
            forecast: None,
            tolerance,
            stabilised: None,
            rated: None,
            limited_by: Vec::new(),
            memory,
            written: None,
        }
    }

    /// What the next pass starts from, now that the write, if there was one, has ended.
    pub fn settle(&self, wrote: Result<(), &str>) -> Memory {
        let mut memory = self.memory.clone();
        let (Some(rescale), Some(written)) = (&self.rescale, &self.written) else { return memory };
        let status = &mut memory.status;
        if let Err(why) = wrote {
            let message = format!("the HPA controller was unable to update the target scale: {why}");
            status.conditions.able_to_scale = Some(Condition::no("FailedUpdateScale", message));
            return memory;
        }
        let message = format!("the HPA controller was able to update the target scale to {}", rescale.to);
        status.conditions.able_to_scale = Some(Condition::yes("SucceededRescale", message));
        status.conditions.scaled_to_zero.clone_from(&written.scaled_to_zero);
        status.desired_replicas = rescale.to;
        status.last_scale_time = Some(written.now);
        if let Some([up, down]) = written.longest {
            let longest = if rescale.to > rescale.from { up } else { down };
            memory.change(rescale.from, rescale.to, written.now, longest);
        }
        memory
    }
}
