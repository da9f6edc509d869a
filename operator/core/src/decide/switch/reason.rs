//! Why, for machines. The words are in [`explain`](super::explain).

use serde::{Deserialize, Serialize};

use super::role::Epoch;
use super::state::Phase;

/// Why something was done, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The role was watched for a whole lease.
    Watched,
    /// Nothing is wrong.
    AllWell,
    /// The role bears our name and a write of ours confirmed it.
    StillHolder,
    /// The role bears our name, and we do not know how that came.
    NamedUnknowing,
    /// Expired, and the peer's data plane is down from everywhere.
    ExpiredAndDown,
    /// Expired, and a person vouches for the rest.
    ExpiredAndOrdered,
    /// Released to us.
    Released,
    /// Released to somebody who did not come.
    Unclaimed,
    /// There is no role.
    Absent,
    /// The record names us at an epoch below one that we have seen.
    EpochFell,
    /// Our claim was taken.
    Claimed,
    /// Our own gate is true.
    GateOpen,
    /// Our own gate is not true.
    NotReady,
    /// The proof ended, and neither witness nor peer confirmed it.
    ProofEnded,
    /// Another site holds, or a higher epoch is known.
    Superseded,
    /// We gave the role up.
    GivenUp,
    /// No stream is left, or time is up.
    Drained,
    /// The peer does not answer us; others have not said so.
    PathDegraded,
    /// The peer answers nobody, but its lease is fresh.
    LeaseFresh,
    /// The lease expired, but the peer's gateway answers.
    PeerControlPlaneImpaired,
    /// The lease expired and the peer does not answer us, but the observer has not said so.
    ObserverDoesNotAgree,
    /// The peer wants to hand over.
    PeerHandsOver,
    /// Neither our gateway, nor the references, nor the witness can be reached from here.
    NotConnected,
    /// The witness does not answer, the peer does.
    WitnessLost,
    /// Neither answers, and the spec says to wait.
    QuorumLostHold,
    /// Neither answers, and the spec says to serve.
    QuorumLostPromote,
    /// We promised our peer not to hold.
    Promised,
    /// Only a person may switch.
    ManualMode,
    /// Somebody paused changes.
    Paused,
    /// Too many switches.
    TooManySwitches,
    /// The last switch was too recent.
    HoldOff,
    /// The role is held by a name we do not know.
    Stranger,
    /// A person asked.
    Ordered,
    /// The primary is well again for long enough.
    FailbackDue,
    /// The primary is well again, and a person may switch back.
    FailbackPending,
    /// Less capacity than the least.
    CapacityLow,
    /// Two of three vantage points cannot reach us.
    Unreachable,
    /// The peer has not been heard of lately.
    PeerSilent,
    /// The peer's gate is not true.
    PeerNotReady,
    /// The peer offers less than is needed.
    PeerTooSmall,
    /// The peer's spec is neither ours nor a declared variant.
    PeerSpecDiffers,
    /// We do not hold the role.
    NotHolder,
    /// It took too long.
    TookTooLong,
    /// Nobody holds, and it is for us to.
    NobodyHolds,
    /// The peer refused what we offered.
    Refused,
}

/// What people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "camelCase")]
pub enum Notice {
    /// The site stands elsewhere now.
    Entered {
        /// Where it stood.
        from: Phase,
        /// Where it stands.
        to: Phase,
        /// Why.
        reason: Reason,
    },
    /// Something is suspect or wanted, and there is no switch.
    NotStarted {
        /// Why not.
        reason: Reason,
    },
    /// What stood in the way is gone.
    Cleared,
    /// We hold.
    RoleAcquired {
        /// Since this switch.
        epoch: Epoch,
    },
    /// Both sites serve as active.
    DualActive {
        /// The higher epoch, which stays.
        epoch: Epoch,
    },
    /// The peer said what cannot be; it is not believed.
    PeerImplausible,
}
