//! What a site wants done. Each is idempotent; whoever acts reports what came of it as an event.
//!
//! There is no action that deletes or stops a Pod, and none that leaves a gateway without a pool (S6, S7): to lose the role costs a site
//! nothing but the right to write what is shared.

use serde::{Deserialize, Serialize};

use super::reason::Notice;
use super::role::{Epoch, Site, Version};
use super::state::Kept;

/// Where gateways send new requests. A gateway takes it only if its epoch is not below the last it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preference {
    /// Where to.
    pub active: Site,
    /// Since which switch.
    pub epoch: Epoch,
    /// So many in a hundred go to the other site, during a switchover.
    pub other: u8,
}

/// A kind of write to the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Write {
    /// Hold on, or take up what bears our name.
    Renew,
    /// Take it, or raise its epoch.
    Acquire,
    /// Make it anew.
    Create,
    /// Give it up.
    Release,
}

/// Something to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// Keep this beyond the process, before anything that follows is done. If it cannot be kept, go on.
    Persist(Kept),
    /// Read the role.
    ReadRole,
    /// Write that we hold, if this is still its version.
    Renew {
        /// What we saw.
        expected: Version,
        /// Unchanged.
        epoch: Epoch,
    },
    /// Write that we hold from now on, if this is still its version.
    Acquire {
        /// What we saw.
        expected: Version,
        /// The new one.
        epoch: Epoch,
    },
    /// Create the role, held by us, if there is none.
    Create {
        /// Its first epoch.
        epoch: Epoch,
    },
    /// Write that we gave it up, if this is still its version. All replicas of our site must know before this is sent; one that does not
    /// answer is waited for until its proof must have ended.
    Release {
        /// What we saw.
        expected: Version,
        /// Unchanged.
        epoch: Epoch,
        /// Who may have it at once.
        to: Site,
    },
    /// Ask our peer to acknowledge that we hold.
    AskAcknowledgement {
        /// At this epoch.
        epoch: Epoch,
    },
    /// Acknowledge that our peer holds. All replicas of our site must know of the promise before this is sent.
    Acknowledge {
        /// At this epoch.
        epoch: Epoch,
    },
    /// Ask our peer to hand over: nobody reaches it.
    AskHandover {
        /// The epoch at which it holds.
        epoch: Epoch,
    },
    /// Without a witness: give the role to our peer.
    OfferRole {
        /// To be held at this counter.
        epoch: Epoch,
    },
    /// Without a witness: we do not take what was offered, and never will.
    RefuseRole {
        /// What was offered.
        epoch: Epoch,
    },
    /// Tell our own gateways.
    SetPreference(Preference),
    /// Write the order of addresses at the witness. A shared write.
    WriteDns {
        /// Refused there if it is lower than what is stored.
        epoch: Epoch,
    },
    /// Wake, warm and scale our own replicas.
    Arm,
    /// That was not needed.
    Disarm,
    /// Tell people.
    Tell(Notice),
}
