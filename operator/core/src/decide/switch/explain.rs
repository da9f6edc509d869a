//! The words: why a site did or did not switch.
//!
//! What was recorded is replayed through [`step`]; every notice becomes a line.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::event::Event;
use super::reason::{Notice, Reason};
use super::settings::Settings;
use super::state::{Kept, State};
use super::step;
use super::time::Moment;

/// What a site went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What it went by.
    pub settings: Settings,
    /// What it knew at the start.
    pub kept: Kept,
    /// When it started.
    pub started: Moment,
    /// What it learned, and when.
    pub events: Vec<Happened>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When.
    pub at: Moment,
    /// What.
    pub event: Event,
}

/// What people are told about a trace, in order.
pub fn explain(trace: &Trace) -> Vec<String> {
    let mut state = State::restarted(trace.kept, trace.started);
    let mut lines = Vec::new();
    for Happened { at, event } in &trace.events {
        let (next, actions) = step(&trace.settings, state, event, *at);
        state = next;
        lines.extend(actions.iter().filter_map(|action| match action {
            Action::Tell(notice) => Some(format!("{at}  {notice}")),
            _ => None,
        }));
    }
    lines
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entered { from, to, reason } => write!(f, "{from:?} → {to:?}: {reason}"),
            Self::NotStarted { reason } => write!(f, "no switch: {reason}"),
            Self::Cleared => f.write_str("nothing stands in the way of the next switch"),
            Self::RoleAcquired { epoch } => write!(f, "holds the role, epoch {}", epoch.counter),
            Self::DualActive { epoch } => write!(f, "both sites are active; epoch {} stays", epoch.counter),
            Self::PeerImplausible => f.write_str("the peer claims an epoch that cannot be; it is not believed"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Watched => "the role was watched for a whole lease after the start",
            Self::AllWell => "nothing is wrong",
            Self::StillHolder => "the role bears our name, and a write of ours confirmed it",
            Self::NamedUnknowing => "the role bears our name and we do not know why; it is watched for a lease first",
            Self::ExpiredAndDown => "the lease has expired, and the peer's gateway answers nobody",
            Self::ExpiredAndOrdered => "the lease has expired, and a person vouches for the rest",
            Self::Released => "the peer gave the role to us",
            Self::Unclaimed => "the role was given up, and nobody came for it",
            Self::Absent => "there is no role",
            Self::EpochFell => "the role's epoch is below one that was seen before; it is raised",
            Self::Claimed => "the witness stored our claim",
            Self::GateOpen => "our own replicas are ready",
            Self::NotReady => "our own replicas are not ready",
            Self::ProofEnded => {
                "neither the witness nor the peer confirmed in time that we hold; serving goes on, shared writes stop"
            }
            Self::Superseded => "another site holds the role, or a higher epoch is known",
            Self::GivenUp => "our site gave the role up",
            Self::Drained => "no stream is left, or their time is up",
            Self::PathDegraded => "the peer's gateway does not answer us, but others have not lost it",
            Self::LeaseFresh => "the peer's gateway answers nobody, but it still renews; it is asked to hand over",
            Self::PeerControlPlaneImpaired => {
                "the lease has expired, but the peer's gateway answers: its clients are served"
            }
            Self::ObserverDoesNotAgree => {
                "the peer's gateway does not answer us, but the observer has not lost it or is silent"
            }
            Self::PeerHandsOver => "the peer hands over to us",
            Self::NotConnected => "nothing can be reached from here: the fault is ours",
            Self::WitnessLost => "the witness does not answer",
            Self::QuorumLostHold => "neither witness nor peer answers, and onQuorumLoss is Hold: a person must decide",
            Self::QuorumLostPromote => "neither witness nor peer answers, and onQuorumLoss is Promote",
            Self::Promised => "we acknowledged the peer as holder and promised to wait",
            Self::ManualMode => "mode is Manual: a person must decide",
            Self::Paused => "changes are paused",
            Self::TooManySwitches => "there were three switches within an hour",
            Self::HoldOff => "the last switch was too recent",
            Self::Stranger => "the role is held by a site that is neither ours nor our peer",
            Self::Ordered => "a person asked for it",
            Self::FailbackDue => "the primary has been well for long enough",
            Self::FailbackPending => "the primary is well again; failback is manual: a person may switch back",
            Self::CapacityLow => "less capacity is left here than the least that is worth being active",
            Self::Unreachable => "two of three vantage points cannot reach our gateway",
            Self::PeerSilent => "nothing has been heard of the peer lately",
            Self::PeerNotReady => "the peer's replicas are not ready",
            Self::PeerTooSmall => "the peer offers less than is needed",
            Self::PeerSpecDiffers => "the peer's spec is neither ours nor a declared variant",
            Self::NotHolder => "we do not hold the role",
            Self::TookTooLong => "it took too long",
            Self::NobodyHolds => "nobody is active, and it is for us to be",
            Self::Refused => "the peer refused what was offered",
        })
    }
}
