//! What the witness said, and what is asked of it.

use super::Turn;
use super::action::{Action, Write};
use super::event::Outcome;
use super::reason::Reason;
use super::role::{Epoch, Record, Sight, Site};
use super::state::{Pending, Phase};
use super::time::Moment;

impl Turn<'_> {
    /// A read was answered.
    pub fn saw(&mut self, asked: Moment, role: Option<Record>) {
        let sight = role.map_or(Sight::Absent, Sight::Present);
        self.note(&sight);
        let Some((before, before_asked)) = self.state.role.take(sight, asked, self.now) else { return };
        self.prove_by_sight(&before, before_asked, asked);
    }

    /// A version of ours that we did not know of: a renewal whose answer was lost, or another replica's.
    fn prove_by_sight(&mut self, before: &Sight, before_asked: Moment, asked: Moment) {
        let held = self.state.kept.held;
        let ours = |sight: &Sight| {
            sight
                .record()
                .filter(|record| record.is_held_by(Site::Us) && Some(record.epoch) == held)
                .map(|record| record.version.clone())
        };
        let (Some(old), Some(new)) = (ours(before), ours(&self.state.role.sight)) else { return };
        if old != new && self.state.has_proof(self.settings, self.now) {
            let since = if self.settings.rules.proof_from_read_before { before_asked } else { asked };
            self.state.proof = self.state.proof.max(Some(since));
        }
    }

    fn note(&mut self, sight: &Sight) {
        self.state.guard.saw(sight, self.now);
        if let Some(record) = sight.record() {
            self.heed(record.epoch);
        }
    }

    /// A write came back.
    pub fn wrote(&mut self, asked: Moment, outcome: Outcome) {
        let pending = self.state.pending.take_if(|pending| pending.sent == asked);
        match outcome {
            Outcome::Stored(record) => self.stored(asked, &record, pending),
            Outcome::Conflict => {
                self.state.role.answer(self.now);
                self.state.role.stale = true;
                self.read();
            }
            Outcome::Failed => self.state.role.fail(),
        }
    }

    /// Only the answer that we still wait for proves anything: whoever gave up waiting may have promised something since.
    fn stored(&mut self, asked: Moment, record: &Record, pending: Option<Pending>) {
        let sight = Sight::Present(record.clone());
        self.note(&sight);
        let newest = self.state.role.take(sight, asked, self.now).is_some();
        let waited = pending.is_some_and(|pending| pending.write != Write::Release);
        if newest && waited && record.is_held_by(Site::Us) && !self.state.has_promised(self.now) {
            self.holds(record.epoch, asked);
        }
    }

    /// Reads the role, once a poll period.
    pub fn look(&mut self) {
        let due = self.state.role.read.is_none_or(|read| self.now.since(read) >= self.settings.timing.poll);
        if self.settings.witness && due {
            self.read();
        }
    }

    /// Reads the role.
    pub fn read(&mut self) {
        self.state.role.read = Some(self.now);
        self.act(Action::ReadRole);
    }

    /// Gives up waiting for a write. It may still be stored: the role is read again before the next.
    pub fn stop_waiting(&mut self) {
        let late = |pending: &mut Pending| self.now.since(pending.sent) > self.settings.timing.request;
        if self.state.pending.take_if(late).is_some() {
            self.state.role.fail();
        }
    }

    /// Whether a write may be sent: none is on its way, and what it builds on is known.
    pub fn can_write(&self) -> bool {
        self.state.pending.is_none() && !self.state.role.stale
    }

    fn send(&mut self, write: Write, action: Action) {
        self.state.pending = Some(Pending { write, sent: self.now });
        self.act(action);
    }

    /// Holds on to the role, or takes it up, when the last thing seen names us. An epoch below one we have seen is raised.
    pub fn renew(&mut self) {
        let Some(record) = self.state.role.sight.record().cloned() else { return };
        if !self.can_write() {
            return;
        }
        if record.epoch < self.state.kept.highest {
            return self.acquire();
        }
        self.state.tried = Some(record.epoch);
        self.send(Write::Renew, Action::Renew { expected: record.version, epoch: record.epoch });
    }

    /// Takes the role, or raises its epoch.
    pub fn acquire(&mut self) {
        let Some(expected) = self.state.role.sight.record().map(|record| record.version.clone()) else { return };
        if self.can_write() {
            let epoch = self.next_epoch(1);
            self.state.tried = Some(epoch);
            self.send(Write::Acquire, Action::Acquire { expected, epoch });
        }
    }

    /// Makes the role anew: with the first epoch if nobody ever held, else far above all that is known.
    pub fn create(&mut self, gap: u64) {
        if self.can_write() {
            let epoch = self.next_epoch(gap);
            self.state.tried = Some(epoch);
            self.send(Write::Create, Action::Create { epoch });
        }
    }

    /// Gives the role up, once no shared write of ours can land any more. Belief ends here, not with the answer, which may be lost
    /// (rule 2).
    pub fn release(&mut self, reason: Reason) {
        let Some(record) = self.state.role.sight.record().filter(|record| record.is_held_by(Site::Us)).cloned() else {
            return;
        };
        if !self.can_write() || !self.may_give_up() {
            return;
        }
        let Record { epoch, version: expected, .. } = record;
        self.send(Write::Release, Action::Release { expected, epoch, to: Site::Peer });
        if self.settings.rules.release_ends_belief {
            self.lose(Phase::Draining, reason);
        }
    }

    /// The epoch at which we hold.
    pub fn held(&self) -> Epoch {
        self.state.kept.held.unwrap_or_default()
    }
}
