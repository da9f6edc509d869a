//! Who holds, and how we know.
//!
//! ```text
//! proof    now - s < d       s: start of the last renewal that was stored, or of the last request that our peer acknowledged
//! write    now - s + l <= d  a shared write lands before the proof ends (rule 10)
//! promise  until t + D       t: when we acknowledged; until then we hold the role in no way (rule 3)
//! ```
//!
//! A candidate waits D from the moment at which *it* saw the last change, and that is after `s`. So no candidate is through before the
//! proof has ended, as long as neither clock runs `(D - l) / d` times as fast as the other.
//!
//! **A version that was seen but not written by this process** (another replica's renewal, or ours whose answer was lost) proves only
//! from the read *before* the one that showed it. The design said "from the start of the read that showed it"; but that read may come
//! long after the write, and a candidate's wait runs from the write. The model finds two holders with that rule as soon as a read is lost
//! (`proof_from_read_before`).

use super::Turn;
use super::action::Action;
use super::reason::{Notice, Reason};
use super::role::{Epoch, Record, Site};
use super::settings::Settings;
use super::state::{Phase, State};
use super::time::Moment;

/// Above every record that could be read, when a role is made anew: records may be missing (rule 8).
pub const GAP: u64 = 1000;

impl State {
    /// Whether it can prove that it holds.
    pub fn has_proof(&self, settings: &Settings, now: Moment) -> bool {
        self.proof.is_some_and(|since| now.since(since) < settings.timing.deadline)
    }

    /// Whether it takes itself for the holder.
    pub fn believes(&self, settings: &Settings, now: Moment) -> bool {
        let holds = matches!(self.phase, Phase::Promoting | Phase::Active | Phase::Handover);
        holds && (self.unarbitrated || self.has_proof(settings, now))
    }

    /// Whether a shared write sent now lands while the proof still holds.
    pub fn may_write(&self, settings: &Settings, now: Moment) -> bool {
        let limit =
            if settings.rules.writes_land_in_time { settings.timing.request } else { std::time::Duration::ZERO };
        let lands = self.proof.is_some_and(|since| now.since(since).saturating_add(limit) <= settings.timing.deadline);
        self.believes(settings, now) && !self.unarbitrated && lands
    }

    /// Whether it has promised not to hold.
    pub fn has_promised(&self, now: Moment) -> bool {
        self.promise.is_some_and(|until| now < until)
    }

    /// Whether we know how a record came to name us: we held at that epoch before a restart, or tried to since.
    pub fn knows(&self, record: &Record) -> bool {
        record.epoch >= self.kept.highest && (self.kept.held == Some(record.epoch) || self.tried == Some(record.epoch))
    }
}

impl Turn<'_> {
    /// Above all that is known anywhere.
    pub fn next_epoch(&self, by: u64) -> Epoch {
        let stored = self.state.role.sight.record().map_or(Epoch::NEVER, |record| record.epoch);
        let dns = self.state.kept.dns.unwrap_or_default();
        let peer = self.state.peer.said.map_or(Epoch::NEVER, |said| said.highest);
        stored.max(self.state.kept.highest).max(dns).max(peer).above(by, self.settings.rank())
    }

    /// Remembers an epoch. What is remembered never falls.
    pub fn heed(&mut self, epoch: Epoch) {
        self.state.kept.highest = self.state.kept.highest.max(epoch);
    }

    /// The witness stored that we hold, by a request that began at `asked`.
    pub fn holds(&mut self, epoch: Epoch, asked: Moment) {
        let since = if self.settings.rules.proof_from_start { asked } else { self.now };
        let new = self.state.kept.held != Some(epoch);
        self.heed(epoch);
        self.state.kept.held = Some(epoch);
        self.state.proof = Some(since);
        self.state.guard.holds(Site::Us, self.now);
        self.state.order = None;
        if new {
            self.tell(Notice::RoleAcquired { epoch });
        }
        match self.state.phase {
            Phase::Promoting | Phase::Active | Phase::Handover => {}
            Phase::Isolated | Phase::Init if !new => self.enter(Phase::Active, Reason::StillHolder),
            _ => self.enter(Phase::Promoting, Reason::Claimed),
        }
    }

    /// The role is another's, or nobody's: no belief is left.
    pub fn lose(&mut self, to: Phase, reason: Reason) {
        self.state.proof = None;
        self.state.kept.held = None;
        self.state.unarbitrated = false;
        self.state.handover = None;
        self.enter(to, reason);
    }

    /// A promise and a release bind the site: what another replica gives away is not ours any more, and not ours to take up again while
    /// it may be on its way.
    pub fn sibling_spoke(&mut self) {
        if self.state.believes(self.settings, self.now) && !self.state.unarbitrated {
            self.lose(Phase::Draining, Reason::GivenUp);
        }
        self.promise();
    }

    /// Our peer asks us to confirm that it holds. Not while we might hold ourselves, and not when nobody reaches it and we could do
    /// better (rule 5). Our answer is a promise.
    pub fn acknowledge(&mut self, epoch: Epoch) {
        let state = &self.state;
        let ours = state.believes(self.settings, self.now) || state.kept.held.is_some_and(|held| held >= epoch);
        let record = state.role.sight.record();
        let contradicted = record
            .is_some_and(|record| record.epoch > epoch || record.epoch == epoch && !record.is_held_by(Site::Peer));
        let useless = state.probes.verdict == super::vantage::Verdict::Down && state.is_ready(self.settings);
        if !self.settings.witness
            || epoch < state.kept.highest
            || ours
            || contradicted
            || useless
            || state.pending.is_some()
        {
            return;
        }
        if state.kept.held.is_some() {
            self.lose(Phase::Standby, Reason::Superseded);
        }
        self.heed(epoch);
        if self.settings.rules.acknowledgement_promises {
            self.promise();
        }
        self.act(Action::Acknowledge { epoch });
    }

    /// From now on for a whole lease this site does not hold.
    pub fn promise(&mut self) {
        self.state.promise = Some(self.now + self.settings.timing.lease);
    }

    /// Our peer confirmed that we hold. It prolongs a proof; it cannot bring one back (rule 1).
    pub fn acknowledged(&mut self, asked: Moment, epoch: Epoch) {
        let holds = self.state.has_proof(self.settings, self.now) && self.state.believes(self.settings, self.now);
        if holds && self.state.kept.held == Some(epoch) && asked <= self.now {
            self.state.proof = self.state.proof.max(Some(asked));
        }
    }
}
