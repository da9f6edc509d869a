//! From what gateways and Pods show to a number of replicas, and what the status says of it: one pass of a deployment that scales.
//!
//! ```text
//! spec.autoscaling     → wanted    metrics, bounds, behavior, with defaults
//! gateways             → heard     readings and load: requests per second, in flight, queued; how many gateways tell
//! Pods                 → learn     how long replicas take to be ready, what one ends per second
//! Pods, nodes          → room      who has no place; what the accelerators are enough for
//! gateways             → idle      for how long nobody has asked
//! the clock            → schedule  bounds at certain hours
//! spec.replicas        → rival     does somebody else write it, too?
//!                        decide::scale
//! Decision             → told      status, conditions, and whether they are worth a write
//! ```
//!
//! The number is decided by [`scale`](super::scale), with these guards: validity (30 s), ordered replicas, the forecast (unless
//! `coldStart.compensation` is Disabled), our behaviour where none is given, the window of two cold starts, outages, and limits: while
//! Pods of another revision are there, nothing goes down; schedules; accelerators.
//!
//! A pass is [`State::look`], then the write that it asks for, then [`State::settle`] with what came of it. Pure: time comes from outside,
//! monotonic for decisions, wall time for what people read.

pub mod heard;
pub mod idle;
pub mod learn;
pub mod rival;
pub mod room;
pub mod schedule;
pub mod told;
pub mod wanted;

use std::sync::Arc;
use std::time::Duration;

use deepseek_crds::v1alpha1::{AutoscalingStatus, ScalingDecision};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::heard::Gateways;
use self::idle::Idle;
use self::learn::{ServiceRate, Starts};
use self::rival::Rival;
use self::room::{Room, budget};
use self::told::Told;
use self::wanted::Wanted;
use super::scale::conditions::Condition;
use super::scale::guards::{Freeze, Guards, Limits, Validity};
use super::scale::input::{Controller, Input, Scale, Spec};
use super::scale::memory::Memory;
use super::scale::{Decision, Rescale, decide};
use crate::observed::{Node, Pod};

/// Annotation on a deployment: `"true"` leaves the number of replicas alone.
pub const PAUSED: &str = "deepseek-operator.io/autoscaling-paused";

/// Older numbers are none.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// How long a replica takes to be ready when nothing is known of it.
pub(crate) const COLD_START: Duration = Duration::from_secs(60);
/// Changes that the status tells of.
const DECISIONS: usize = 5;

/// What one pass looks at.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// When, for decisions: it never jumps.
    pub now: Duration,
    /// When, for people.
    pub time: Timestamp,
    /// Namespace of the deployment.
    pub namespace: &'a str,
    /// `spec.replicas`, or what we have written and is not seen yet.
    pub replicas: i32,
    /// The deployment is suspended.
    pub suspended: bool,
    /// The annotation [`PAUSED`] is set.
    pub paused: bool,
    /// What the gateways tell.
    pub gateways: &'a Gateways<'a>,
    /// The engine's Pods.
    pub pods: &'a [Pod],
    /// The revision that they should have.
    pub revision: Option<&'a str>,
    /// Accelerators of one replica; `None` before it has been placed.
    pub accelerators: Option<i32>,
    /// The nodes of the cluster.
    pub nodes: &'a [Arc<Node>],
}

/// Why a recommendation is not followed at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The deployment is suspended.
    Suspended,
    /// Somebody has paused it.
    Paused,
    /// Somebody else sets the number.
    External,
    /// Somebody else sets the number, and is not meant to.
    Rival(Option<String>),
}

/// A pass before its write.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What was decided.
    pub decision: Decision,
    /// Why it is not followed.
    pub hold: Option<Hold>,
    /// A rival was found in this pass: somebody should look who it is.
    pub new_rival: bool,
}

impl Pass {
    /// What is to be written.
    pub fn order(&self) -> Option<&Rescale> {
        self.decision.rescale.as_ref().filter(|_| self.hold.is_none())
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// There was none, or somebody was faster.
    Nothing,
    /// It was taken.
    Taken,
    /// It was not.
    Failed(String),
}

/// What is kept of a deployment from pass to pass.
#[derive(Clone, Debug, Default)]
pub struct State {
    memory: Memory,
    starts: Starts,
    rate: ServiceRate,
    rival: Rival,
    room: Room,
    idle: Idle,
    /// We tried to write 0, and something went wrong on the way.
    tried_zero: bool,
    decisions: Vec<ScalingDecision>,
    last_scale: Option<Time>,
}

impl State {
    /// What a predecessor has written down; its recommendations are lost, so that nothing goes down for a whole window.
    pub fn inherit(status: Option<&AutoscalingStatus>) -> Self {
        let Some(status) = status else { return Self::default() };
        Self {
            starts: Starts::inherit(status.cold_start.as_ref()),
            rate: ServiceRate::inherit(status.service_rate.as_deref()),
            decisions: status.recent_decisions.clone(),
            last_scale: status.last_scale_time.clone(),
            ..Self::default()
        }
    }

    /// Whether the predecessor has left no replica because nobody asked.
    #[must_use]
    pub fn asleep(mut self, asleep: bool) -> Self {
        self.memory.status.conditions.scaled_to_zero = asleep.then(Condition::gone_to_zero);
        self
    }

    /// It is there without a replica because nobody asked, and not because somebody wanted it so.
    pub fn is_asleep(&self) -> bool {
        self.memory.status.conditions.is_scaled_to_zero()
    }

    /// Decides.
    pub fn look(&mut self, wanted: &Wanted, seen: &Seen<'_>) -> Pass {
        if std::mem::take(&mut self.tried_zero) && seen.replicas == 0 {
            *self = std::mem::take(self).asleep(true);
        }
        self.starts.look(seen.pods, seen.now);
        let serving = u32::try_from(seen.pods.iter().filter(|pod| pod.serves()).count()).unwrap_or(u32::MAX);
        self.rate.look(seen.gateways.busy(), serving, seen.now);
        let new_rival = self.rival.look(seen.replicas, seen.now);
        let hold = self.hold(wanted, seen);
        if hold == Some(Hold::Suspended) {
            // what was needed before says nothing about what will be
            let asleep = self.memory.status.conditions.scaled_to_zero.take();
            self.memory = Memory::default();
            self.memory.status.conditions.scaled_to_zero = asleep;
        }
        let cold_start = wanted.expected.or(self.starts.p90()).unwrap_or(COLD_START);
        let readings = seen.gateways.readings(wanted, seen.now);
        let forecast = wanted.compensates.then(|| {
            let pending = self.starts.pending(seen.pods, seen.replicas, cold_start, self.rival.written(), seen.now);
            seen.gateways.load(wanted, self.rate.rate(), serving, pending, cold_start)
        });
        let most = wanted.spec.max_replicas;
        let placed = self.room.look(seen.pods, seen.nodes, seen.now);
        let limits = Limits {
            frozen: is_rolling(seen).then_some(Freeze::Rollout),
            schedule: schedule::bounds(&wanted.schedules, seen.time, most),
            budget: wanted.accelerators.and_then(|max| budget(max, seen.accelerators, seen.replicas, seen.pods)),
            schedulable: placed.filter(|_| wanted.caps).map(|placed| placed.max(wanted.spec.min_replicas)),
            ..Limits::default()
        };
        let guards = Guards {
            validity: Some(Validity { stale_after: STALE_AFTER }),
            count_ordered: true,
            forecast,
            our_behavior: true,
            cold_start: Some(cold_start),
            outage: true,
            limits,
        };
        let spec = Spec { min_replicas: self.least(wanted, seen), ..wanted.spec.clone() };
        let decision = decide(&Input {
            now: seen.now,
            namespace: seen.namespace,
            controller: &Controller::default(),
            spec: &spec,
            scale: Ok(Scale { spec_replicas: seen.replicas, status_replicas: seen.replicas }),
            pods: Ok(&[]),
            readings: &readings,
            guards: &guards,
            memory: &self.memory,
        });
        Pass { decision, hold, new_rival }
    }

    /// None at all only after nobody has asked for long enough, and until somebody does.
    fn least(&mut self, wanted: &Wanted, seen: &Seen<'_>) -> i32 {
        let serves = seen.pods.iter().any(Pod::serves);
        let idle = self.idle.look(seen.gateways, serves, seen.now);
        match wanted.zero {
            Some(_) if seen.replicas == 0 => i32::from(seen.gateways.is_asked()),
            Some(zero) => i32::from(idle < zero.idle_after),
            None => wanted.spec.min_replicas,
        }
    }

    fn hold(&self, wanted: &Wanted, seen: &Seen<'_>) -> Option<Hold> {
        if seen.suspended {
            Some(Hold::Suspended)
        } else if wanted.external {
            Some(Hold::External)
        } else if seen.paused {
            Some(Hold::Paused)
        } else {
            self.rival.is_there(seen.now).then(|| Hold::Rival(self.rival.name().map(str::to_owned)))
        }
    }

    /// Who the rival is.
    pub fn name_rival(&mut self, name: String) {
        self.rival.set_name(name);
    }

    /// Keeps what came of a pass, and says what is to be told.
    pub fn settle(&mut self, wanted: &Wanted, seen: &Seen<'_>, pass: &Pass, wrote: &Wrote) -> Told {
        self.memory = match wrote {
            Wrote::Nothing => pass.decision.memory.clone(),
            Wrote::Taken => pass.decision.settle(Ok(())),
            Wrote::Failed(why) => pass.decision.settle(Err(why)),
        };
        match (pass.order(), wrote) {
            (Some(rescale), Wrote::Taken) => {
                self.rival.wrote(rescale.to, seen.now);
                self.note(rescale, seen.time);
            }
            (Some(rescale), Wrote::Failed(_)) => {
                self.rival.tried(rescale.to);
                self.tried_zero = rescale.to == 0;
            }
            _ => {}
        }
        let hold = match &pass.hold {
            // it may have got its name since
            Some(Hold::Rival(_)) => Some(Hold::Rival(self.rival.name().map(str::to_owned))),
            hold => hold.clone(),
        };
        Told {
            status: AutoscalingStatus {
                current_replicas: pass.decision.current,
                desired_replicas: pass.decision.desired,
                last_scale_time: self.last_scale.clone(),
                next_scale_down_time: told::next_down(
                    &pass.decision,
                    wanted.spec.min_replicas.max(1),
                    seen.now,
                    seen.time,
                )
                .map(Time),
                targets: Some(told::targets(wanted, &pass.decision)),
                current_metrics: told::metrics(wanted, &pass.decision),
                cold_start: self.starts.status(),
                service_rate: self.rate.rate().map(told::quantity),
                recent_decisions: self.decisions.clone(),
            },
            verdicts: told::verdicts(&self.memory.status.conditions, hold.as_ref(), wanted.zero.is_some()),
        }
    }

    fn note(&mut self, rescale: &Rescale, time: Timestamp) {
        // the API keeps whole seconds
        let time = Time(Timestamp::from_second(time.as_second()).unwrap_or(time));
        let reason = told::plainly(&rescale.reason);
        self.decisions.insert(0, ScalingDecision { time: time.clone(), from: rescale.from, to: rescale.to, reason });
        self.decisions.truncate(DECISIONS);
        self.last_scale = Some(time);
    }
}

/// Whether Pods of another revision are still there.
fn is_rolling(seen: &Seen<'_>) -> bool {
    let other = |pod: &&Pod| !pod.terminating && seen.revision.is_some_and(|revision| pod.revision != revision);
    seen.pods.iter().any(|pod| other(&pod))
}
