//! The way out of the role: make before break.
//!
//! ```text
//! planned     10 % for 10 s, 50 % for 10 s, 100 % for 10 s of all new requests go to the target, then the role
//! unplanned   at once, when the target is ready; undone after 20 s
//! ```
//!
//! Nothing is final before the release is sent: until then all checks are made again at every step, and the first that fails sends the
//! requests back. The design's L3 (20 s) cannot count the 30 s of growing shares; it bounds the wait for a target that must wake.

use serde::{Deserialize, Serialize};

use super::Turn;
use super::reason::Reason;
use super::settings::{Capacity, Mode, Settings};
use super::state::Phase;
use super::time::Moment;
use super::vantage::Verdict;

/// Canaries that must have passed in a row before the role goes back by itself.
const CANARIES: u32 = 12;

/// Why the role is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// A person asked.
    Ordered,
    /// The primary is well again.
    Failback,
    /// We have too little capacity.
    Capacity,
    /// Clients cannot reach us.
    Unreachable,
}

/// A handover under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: Moment,
    /// The target may offer less than clients ask for.
    pub accept_degraded: bool,
}

impl Handover {
    fn is_planned(&self) -> bool {
        matches!(self.cause, Cause::Ordered | Cause::Failback)
    }

    /// So many in a hundred new requests are for the target.
    pub fn share(&self, settings: &Settings, now: Moment) -> u8 {
        let time = now.since(self.since);
        match () {
            () if !self.is_planned() => 0,
            () if time < settings.timing.share => 10,
            () if time < settings.timing.share.saturating_mul(2) => 50,
            () => 100,
        }
    }

    fn is_due(&self, settings: &Settings, now: Moment) -> bool {
        !self.is_planned() || now.since(self.since) >= settings.timing.share.saturating_mul(3)
    }

    fn reason(&self) -> Reason {
        match self.cause {
            Cause::Ordered => Reason::Ordered,
            Cause::Failback => Reason::FailbackDue,
            Cause::Capacity => Reason::CapacityLow,
            Cause::Unreachable => Reason::Unreachable,
        }
    }
}

impl Turn<'_> {
    /// A person wants the peer to be active.
    pub fn switch_over(&mut self, accept_degraded: bool) {
        match self.checks(Cause::Ordered, accept_degraded) {
            Ok(()) if self.state.phase == Phase::Active => self.begin(Cause::Ordered, accept_degraded),
            Ok(()) => self.obstruct(Some(Reason::NotHolder)),
            Err(reason) => self.obstruct(Some(reason)),
        }
    }

    /// A person, or a check, wants to stay here after all.
    pub fn abort(&mut self, reason: Reason) {
        if self.state.phase == Phase::Handover {
            self.state.handover = None;
            self.enter(Phase::Active, reason);
        }
    }

    /// Whether to hand over, to go on with it, or to stay.
    pub fn judge_itself(&mut self) {
        if let Some(handover) = self.state.handover {
            return self.go_on(handover);
        }
        let Some(cause) = self.unworthy().or_else(|| self.failback_due()) else {
            return self.obstruct(None);
        };
        match self.may_begin(cause) {
            Ok(()) => self.begin(cause, false),
            Err(reason) => self.obstruct(Some(reason)),
        }
    }

    fn may_begin(&self, cause: Cause) -> Result<(), Reason> {
        if self.settings.mode == Mode::Manual {
            return Err(Reason::ManualMode);
        }
        match (cause, self.settings.failback.mode) {
            (Cause::Failback, Mode::Manual) => Err(Reason::FailbackPending),
            (Cause::Failback, Mode::Automatic) => self.checks(cause, false),
            _ => self.is_free(cause),
        }
    }

    fn begin(&mut self, cause: Cause, accept_degraded: bool) {
        let handover = Handover { cause, since: self.now, accept_degraded };
        self.state.handover = Some(handover);
        self.obstruct(None);
        self.enter(Phase::Handover, handover.reason());
    }

    fn go_on(&mut self, handover: Handover) {
        let checked = self.checks(handover.cause, handover.accept_degraded);
        let late = self.now.since(handover.since) >= self.settings.timing.handover;
        match checked {
            _ if !handover.is_planned() && self.unworthy().is_none() => self.abort(Reason::AllWell),
            Ok(()) if handover.is_due(self.settings, self.now) => self.give_up(handover.reason()),
            Ok(()) => {}
            Err(Reason::PeerNotReady | Reason::PeerTooSmall) if !handover.is_planned() && !late => {}
            Err(Reason::PeerNotReady) if late && !handover.is_planned() => self.abort(Reason::TookTooLong),
            Err(reason) => self.abort(reason),
        }
    }

    fn give_up(&mut self, reason: Reason) {
        match self.settings.witness {
            true => self.release(reason),
            false if self.state.leads.is_some() => self.offer(reason),
            false => {}
        }
    }

    /// Nobody paused, the last switch is long enough ago, and the role can move. A site without any capacity need not wait.
    fn is_free(&self, cause: Cause) -> Result<(), Reason> {
        let empty = cause == Cause::Capacity && self.capacity() == Capacity::NONE;
        let least = self.settings.failback.hold_off;
        let arbiter = !self.settings.witness || self.state.role.is_reachable(self.settings.timing.silence(), self.now);
        match () {
            () if self.settings.paused => Err(Reason::Paused),
            () if !empty && self.state.guard.is_frozen(self.now) => Err(Reason::TooManySwitches),
            () if !empty && self.state.guard.is_held_off(least, self.now) => Err(Reason::HoldOff),
            () if !arbiter => Err(Reason::WitnessLost),
            () => Ok(()),
        }
    }

    /// All that must hold before and during a handover.
    fn checks(&self, cause: Cause, accept_degraded: bool) -> Result<(), Reason> {
        self.is_free(cause)?;
        let said = self.state.peer.beacon(self.settings, self.now).ok_or(Reason::PeerSilent)?;
        let planned = matches!(cause, Cause::Ordered | Cause::Failback);
        let wanted = match cause {
            Cause::Ordered | Cause::Failback if accept_degraded => self.settings.min_active,
            Cause::Ordered | Cause::Failback => self.demand().max(self.settings.min_active),
            Cause::Capacity | Cause::Unreachable => self.settings.min_active,
        };
        let better = cause != Cause::Capacity || said.capacity.is_much_more_than(self.capacity());
        match () {
            () if !self.state.believes(self.settings, self.now) => Err(Reason::NotHolder),
            () if !said.ready => Err(Reason::PeerNotReady),
            () if !said.same_spec => Err(Reason::PeerSpecDiffers),
            () if said.capacity < wanted || !better => Err(Reason::PeerTooSmall),
            () if self.settings.witness && !said.witness => Err(Reason::WitnessLost),
            () if planned && self.state.probes.verdict == Verdict::Down => Err(Reason::PathDegraded),
            () => Ok(()),
        }
    }

    /// The primary has been ready for long enough. Whether it comes back by itself is for `may_begin` to say.
    fn failback_due(&self) -> Option<Cause> {
        let said = self.state.peer.beacon(self.settings, self.now)?;
        let wanted = !self.settings.primary && !self.settings.paused;
        let stable =
            self.state.peer.ready.is_some_and(|since| self.now.since(since) >= self.settings.failback.stable_for);
        (wanted && stable && said.canaries >= CANARIES).then_some(Cause::Failback)
    }

    fn capacity(&self) -> Capacity {
        self.state.own.unwrap_or_default().capacity
    }

    fn demand(&self) -> Capacity {
        self.state.own.unwrap_or_default().demand
    }
}
