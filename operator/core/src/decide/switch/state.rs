//! All that a site knows and believes. Plain data, so that it can be shown, compared and replayed.

use serde::{Deserialize, Serialize};

use super::action::{Preference, Write};
use super::guard::Guard;
use super::handover::Handover;
use super::reason::Reason;
use super::role::{Epoch, Sighting};
use super::settings::{Capacity, Settings};
use super::time::Moment;
use super::vantage::{Observer, Paths, Probes, Verdict};

/// Where a site stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Restarted; watches for one lease and leaves the data plane as it was.
    Init,
    /// The peer is active.
    Standby,
    /// Something is suspect: it wakes and warms.
    Arming,
    /// Both proofs hold; the claim is on its way.
    Acquiring,
    /// Holds the role; waits for its own readiness.
    Promoting,
    /// Holds the role and renews it.
    Active,
    /// Active still, while the peer takes over more and more.
    Handover,
    /// The role is gone; streams finish.
    Draining,
    /// Cannot prove that it holds; serves all the same, but writes nothing that is shared.
    Isolated,
    /// Was active and is not ready to be again.
    Recovering,
    /// Nothing changes by itself: paused, or too many switches. Only shown: see [`State::shown`].
    Frozen,
}

/// What outlives the process: in the status of both sites' deployments. Losing it makes a site careful, never unsafe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The highest epoch ever seen.
    pub highest: Epoch,
    /// The epoch at which we held when this was written.
    pub held: Option<Epoch>,
    /// What our gateways were told last.
    pub preference: Option<Preference>,
    /// The epoch at which DNS was written last.
    pub dns: Option<Epoch>,
    /// Switches of the last hour.
    pub switches: u8,
}

/// A write to the witness that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pending {
    /// What was asked for.
    pub write: Write,
    /// When.
    pub sent: Moment,
}

/// What our own site offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Own {
    /// Replicas that answer probes.
    pub capacity: Capacity,
    /// What clients ask for at the moment.
    pub demand: Capacity,
    /// Loaded, not asleep.
    pub hot: bool,
    /// Canary and golden prompt pass.
    pub canary: bool,
}

/// What a site tells its peer, over the link and through its beacon at the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beacon {
    /// The epoch at which it holds, by its own belief. Without a witness a site that has just started holds what it held before: its
    /// peer must not take its silence for leave.
    pub holds: Option<Epoch>,
    /// The highest epoch it knows of.
    pub highest: Epoch,
    /// Its own gate is true.
    pub ready: bool,
    /// Replicas that answer there.
    pub capacity: Capacity,
    /// Canaries that passed in a row.
    pub canaries: u32,
    /// What it thinks of our gateway.
    pub sees_you: Verdict,
    /// Its spec is ours, or declared as a variant. Compared where it is received.
    pub same_spec: bool,
    /// It is handing over to us; so many in a hundred new requests are for us already.
    pub offers: Option<u8>,
    /// It reaches the witness.
    pub witness: bool,
}

/// What we know of our peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// What it said last.
    pub said: Option<Beacon>,
    /// Start of the request to which it said so.
    pub asked: Moment,
    /// When its link last answered.
    pub heard: Option<Moment>,
    /// Since when it says that it holds nothing.
    pub idle: Option<Moment>,
    /// Since when it says that it is ready.
    pub ready: Option<Moment>,
}

impl Peer {
    /// What it said, unless that is old.
    pub fn beacon(&self, settings: &Settings, now: Moment) -> Option<Beacon> {
        self.said.filter(|_| now.since(self.asked) < settings.timing.fresh)
    }
}

/// A person's word, and until when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    /// Until when.
    pub until: Moment,
}

/// All that a site knows and believes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Moment,
    /// When this process started.
    pub started: Moment,
    /// What outlives it.
    pub kept: Kept,
    /// What it saw of the role.
    pub role: Sighting,
    /// Its write on the way.
    pub pending: Option<Pending>,
    /// The last epoch it tried to hold: a record with that epoch is its own doing.
    pub tried: Option<Epoch>,
    /// Start of the request that last proved that it holds.
    pub proof: Option<Moment>,
    /// It serves as active without any arbiter.
    pub unarbitrated: bool,
    /// Until then it has promised not to hold the role.
    pub promise: Option<Moment>,
    /// When it last asked its peer for an acknowledgement.
    pub asked: Option<Moment>,
    /// Since when this replica writes for its site; the others only watch and renew.
    pub leads: Option<Moment>,
    /// Itself, once it has looked.
    pub own: Option<Own>,
    /// Since when its gate has been false.
    pub unready: Option<Moment>,
    /// The other site.
    pub peer: Peer,
    /// Its own probes of the peer's gateway.
    pub probes: Probes,
    /// The third vantage point.
    pub observer: Observer,
    /// Its own connectivity.
    pub paths: Paths,
    /// The way out of the role.
    pub handover: Option<Handover>,
    /// Without a witness: the epoch offered to the peer, until it answers.
    pub offered: Option<Epoch>,
    /// Switches, and how soon the next may be.
    pub guard: Guard,
    /// A person wants this site to be active.
    pub order: Option<Order>,
    /// The standby was told to get ready.
    pub armed: bool,
    /// People were told that both sites are active.
    pub dual: bool,
    /// When DNS was last written to, without an answer yet.
    pub dns: Option<Moment>,
    /// Why there is no switch, as it was told last.
    pub obstacle: Option<Reason>,
}

impl State {
    /// A process that has just started, with what its predecessor kept.
    pub fn restarted(kept: Kept, now: Moment) -> Self {
        Self {
            phase: Phase::Init,
            since: now,
            started: now,
            kept,
            role: Sighting::default(),
            pending: None,
            tried: None,
            proof: None,
            unarbitrated: false,
            promise: None,
            asked: None,
            leads: None,
            own: None,
            unready: None,
            peer: Peer::default(),
            probes: Probes::default(),
            observer: Observer::default(),
            paths: Paths::default(),
            handover: None,
            offered: None,
            guard: Guard::restarted(kept.switches, now),
            order: None,
            armed: false,
            dual: false,
            dns: None,
            obstacle: None,
        }
    }

    /// The standby's gate: hot, canary passed, enough capacity.
    pub fn is_ready(&self, settings: &Settings) -> bool {
        let enough = |own: Own| own.capacity >= settings.min_active && own.capacity > Capacity::NONE;
        self.own.is_some_and(|own| own.hot && own.canary && enough(own))
    }

    /// Where it stands, for people: frozen before all else.
    pub fn shown(&self, settings: &Settings, now: Moment) -> Phase {
        if settings.paused || self.guard.is_frozen(now) { Phase::Frozen } else { self.phase }
    }

    /// What it tells its peer.
    pub fn beacon(&self, settings: &Settings, canaries: u32, now: Moment) -> Beacon {
        Beacon {
            holds: self.kept.held.filter(|_| !settings.witness || self.believes(settings, now)),
            highest: self.kept.highest,
            ready: self.is_ready(settings),
            capacity: self.own.unwrap_or_default().capacity,
            canaries,
            sees_you: self.probes.verdict,
            same_spec: true,
            offers: self.handover.as_ref().map(|handover| handover.share(settings, now)),
            witness: self.role.is_reachable(settings.timing.silence(), now),
        }
    }
}
