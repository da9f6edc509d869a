//! What a site learns. A recorded list of these, replayed, gives the same decisions again.

use serde::{Deserialize, Serialize};

use super::role::{Epoch, Record};
use super::state::{Beacon, Own};
use super::time::Moment;
use super::vantage::{Paths, Verdict};

/// Something that happened. `asked` is always the `now` of the step that asked for it: the start of the request, or a little earlier.
/// An answer goes to the process that asked, or to nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// Nothing but time. Once every poll period, or more often.
    Tick,
    /// The witness was read: most recent state, never from a cache.
    RoleRead {
        /// Start of the read.
        asked: Moment,
        /// What it showed.
        role: Option<Record>,
    },
    /// A read failed.
    ReadFailed,
    /// A write to the role came back.
    RoleWritten {
        /// Start of the write.
        asked: Moment,
        /// What came of it.
        outcome: Outcome,
    },
    /// We probed our peer's gateway by its public address.
    Probed {
        /// Whether it answered in time.
        answered: bool,
    },
    /// The observer told what it thinks of both gateways.
    Observed {
        /// Of ours.
        us: Verdict,
        /// Of the peer's.
        peer: Verdict,
    },
    /// Our own connectivity was looked at.
    Connectivity(Paths),
    /// Our own replicas were looked at.
    OwnState(Own),
    /// Our peer told about itself: over the link, or by a beacon at the witness that has changed since the last look.
    PeerHeard {
        /// Start of the request that it answered.
        asked: Moment,
        /// Over its link, not through the witness.
        direct: bool,
        /// What it said.
        beacon: Beacon,
    },
    /// Our peer asks us to acknowledge that it holds.
    AcknowledgementAsked {
        /// At this epoch.
        epoch: Epoch,
    },
    /// Our peer acknowledged that we hold.
    Acknowledged {
        /// Start of our request.
        asked: Moment,
        /// At this epoch.
        epoch: Epoch,
    },
    /// Whether this replica holds the local lease: it alone writes what is shared and gives the role up.
    Leads {
        /// Or another does.
        leads: bool,
    },
    /// Another replica of our site gave a promise; it binds the site.
    SiblingPromised,
    /// Another replica of our site is about to give the role up; it does so for the site.
    SiblingReleased,
    /// Our peer cannot reach us and asks for the role.
    HandoverAsked {
        /// The epoch at which it believes us to hold.
        epoch: Epoch,
    },
    /// Without a witness: our peer gives the role to us.
    RoleOffered {
        /// To be held at this counter.
        epoch: Epoch,
    },
    /// Without a witness: our peer did not take what we offered, and never will.
    RoleRefused {
        /// What we offered.
        epoch: Epoch,
    },
    /// A write of the DNS record came back.
    DnsWritten {
        /// The epoch it bore.
        epoch: Epoch,
        /// Whether it was taken.
        done: bool,
    },
    /// No stream of ours is left.
    Drained,
    /// A person spoke.
    Ordered(Command),
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Outcome {
    /// It was stored; this is how.
    Stored(Record),
    /// Somebody else wrote since.
    Conflict,
    /// No answer in time, or an error: it may have been stored.
    Failed,
}

/// What a person may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Command {
    /// Give the role to the peer, without losing a request.
    Switchover {
        /// Even if it offers less than clients ask for.
        accept_degraded: bool,
    },
    /// Stop what [`Command::Switchover`] started.
    Abort,
    /// Take the role: a person vouches for what cannot be proved.
    Promote,
}
