//! What people decided: the `failover` part of the spec, and what the administrator's `Site` objects say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timing;

/// Ready capacity in thousandths of what the primary declares. The spec's shares are decimals; 0.20 is 200 here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Capacity(pub u32);

impl Capacity {
    /// Nothing answers.
    pub const NONE: Self = Self(0);

    /// Whether this is at least 1.2 times the other: worth a switch.
    pub fn is_much_more_than(self, other: Self) -> bool {
        self.0 > 0 && u64::from(self.0) * 10 >= u64::from(other.0) * 12
    }
}

/// Who starts a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// The operators.
    Automatic,
    /// A person; the operator only advises.
    Manual,
}

/// What a standby does when neither the witness nor its peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum QuorumLoss {
    /// It serves: always somebody active, perhaps two.
    Promote,
    /// It waits for a person: never two active.
    Hold,
}

/// The way back to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failback {
    /// Whether it starts by itself.
    pub mode: Mode,
    /// How long the primary must have been ready before.
    pub stable_for: Duration,
    /// Least time between two voluntary switches; doubled with each that follows soon, up to four hours.
    pub hold_off: Duration,
}

/// What one site goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct Settings {
    /// Whether we are the primary.
    pub primary: bool,
    /// Whether switches start by themselves.
    pub mode: Mode,
    /// Whether there is a witness.
    pub witness: bool,
    /// Whether an observer probes both gateways.
    pub observer: bool,
    /// What to do alone.
    pub on_quorum_loss: QuorumLoss,
    /// With less than this a site is not worth being active.
    pub min_active: Capacity,
    /// The way back.
    pub failback: Failback,
    /// Somebody paused all automatic changes.
    pub paused: bool,
    /// The times of the protocol.
    pub timing: Timing,
    /// Never part of a spec or a trace: see [`Rules`].
    #[serde(skip)]
    pub rules: Rules,
}

impl Settings {
    /// Breaks a tie between two epochs with the same counter: the primary's wins.
    pub fn rank(&self) -> u8 {
        u8::from(self.primary)
    }
}

/// The rules that keep the protocol safe. All hold, always; the model check switches one off at a time and must then find two
/// holders, or it proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Rules {
    /// An expired role is taken only when the holder's data plane is down.
    pub data_plane_proof: bool,
    /// After a restart a role is watched for a whole lease before it counts as expired.
    pub watch_after_restart: bool,
    /// A proof runs from the start of the request, not from its answer.
    pub proof_from_start: bool,
    /// A renewal seen but not answered proves from the read before it, not from the one that showed it.
    pub proof_from_read_before: bool,
    /// An acknowledgement is a promise not to take the role.
    pub acknowledgement_promises: bool,
    /// Belief ends when a release is sent.
    pub release_ends_belief: bool,
    /// An isolated holder comes back by a write, not by a read.
    pub isolated_renews: bool,
    /// A role that is gone is made anew by others only after a lease.
    pub absence_is_watched: bool,
    /// A shared write is sent only if it lands before the proof ends.
    pub writes_land_in_time: bool,
    /// The role is not released while a shared write is on its way.
    pub release_waits_for_writes: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            data_plane_proof: true,
            watch_after_restart: true,
            proof_from_start: true,
            proof_from_read_before: true,
            acknowledgement_promises: true,
            release_ends_belief: true,
            isolated_renews: true,
            absence_is_watched: true,
            writes_land_in_time: true,
            release_waits_for_writes: true,
        }
    }
}
