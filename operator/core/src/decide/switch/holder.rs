//! What the holder does: renew while it is worth it, hand over when it is not, write nothing it cannot prove.

use super::Turn;
use super::action::{Action, Preference};
use super::handover::Cause;
use super::proof::GAP;
use super::reason::Reason;
use super::role::{Sight, Site};
use super::state::Phase;
use super::time::Moment;

impl Turn<'_> {
    /// A process that has just started: leaves all as it is for one lease, but takes up at once what it knows to be its own.
    pub fn start(&mut self) {
        let ours = self
            .state
            .role
            .sight
            .record()
            .is_some_and(|record| record.is_held_by(Site::Us) && self.state.knows(record));
        if ours && !self.state.has_promised(self.now) {
            return self.renew();
        }
        let watched = self.now.since(self.state.started) >= self.settings.timing.lease;
        let first = self.settings.primary && self.nobody_ever_held();
        let trusts = !self.settings.rules.watch_after_restart && self.state.role.sight != Sight::Unknown;
        if !watched && !trusts && !first {
            return;
        }
        if !self.settings.witness {
            return self.start_alone();
        }
        let reachable = self.state.role.is_reachable(self.settings.timing.silence(), self.now);
        if self.state.kept.held.is_some() && !reachable {
            return self.enter(Phase::Isolated, Reason::ProofEnded);
        }
        self.lose(Phase::Standby, Reason::Watched);
        self.stand_by();
    }

    /// One look of the holder.
    pub fn hold(&mut self) {
        if self.state.unarbitrated {
            return self.hold_alone();
        }
        if self.state.role.sight.record().is_some_and(|record| !record.is_held_by(Site::Us)) {
            return self.lose(Phase::Draining, Reason::Superseded);
        }
        if !self.state.has_proof(self.settings, self.now) {
            self.state.handover = None;
            return self.enter(Phase::Isolated, Reason::ProofEnded);
        }
        self.keep_role();
        self.ask_acknowledgement();
        if self.state.phase == Phase::Promoting {
            self.open_gate();
        }
        if self.state.phase != Phase::Promoting {
            self.judge_itself();
            self.write_dns();
        }
    }

    fn keep_role(&mut self) {
        let record = match &self.state.role.sight {
            Sight::Unknown => return,
            Sight::Absent => return self.create(GAP),
            Sight::Present(record) => record,
        };
        let timing = &self.settings.timing;
        let raised = record.epoch < self.state.kept.highest || Some(record.epoch) != self.state.kept.held;
        let old = self.state.role.has_stood(timing.renew, self.now);
        let late = self.proof_age() >= timing.renew.saturating_add(timing.poll);
        if raised || old || late {
            self.renew();
        }
    }

    fn proof_age(&self) -> std::time::Duration {
        self.state.proof.map_or(std::time::Duration::MAX, |since| self.now.since(since))
    }

    /// The witness does not confirm us: perhaps our peer does.
    fn ask_acknowledgement(&mut self) {
        let timing = &self.settings.timing;
        let trouble = self.state.role.failing || !self.state.role.is_reachable(timing.poll.saturating_mul(2), self.now);
        if trouble && self.proof_age() >= timing.renew && self.is_poll_due() {
            self.state.asked = Some(self.now);
            self.act(Action::AskAcknowledgement { epoch: self.held() });
        }
    }

    fn open_gate(&mut self) {
        if self.state.is_ready(self.settings) {
            return self.enter(Phase::Active, Reason::GateOpen);
        }
        let closed = self.state.unready.map(|since| self.now.since(since.max(self.state.since)));
        if closed.is_some_and(|time| time >= self.settings.timing.gate) {
            self.release(Reason::NotReady);
        }
    }

    /// DNS names us first: once an epoch, and only with a proof that outlasts the write.
    fn write_dns(&mut self) {
        let waits = self.is_write_on_its_way();
        let holds = matches!(self.state.phase, Phase::Active | Phase::Handover);
        let written = self.state.kept.dns == self.state.kept.held;
        if holds && !written && !waits && self.state.leads.is_some() && self.state.may_write(self.settings, self.now) {
            self.state.dns = Some(self.now);
            self.act(Action::WriteDns { epoch: self.held() });
        }
    }

    fn is_write_on_its_way(&self) -> bool {
        self.state.dns.is_some_and(|sent| self.now.since(sent) <= self.landing())
    }

    /// Twice the limit of a request: our clock may be fast, and giving up on a request does not stop it.
    fn landing(&self) -> std::time::Duration {
        self.settings.timing.request.saturating_mul(2)
    }

    /// Whether no shared write of our site can land any more, neither ours nor that of the replica that led before us. The role is not
    /// given up before: its next holder might be there first.
    pub fn may_give_up(&self) -> bool {
        let settled = |since: Moment| self.now.since(since) > self.landing();
        self.state.leads.is_some_and(settled)
            && !(self.settings.rules.release_waits_for_writes && self.is_write_on_its_way())
    }

    /// A write of the DNS record came back.
    pub fn dns_written(&mut self, epoch: super::role::Epoch, done: bool) {
        self.state.dns = None;
        if done {
            self.state.kept.dns = self.state.kept.dns.max(Some(epoch));
        }
    }

    /// Whether we are worth being active, and if not, why.
    pub fn unworthy(&self) -> Option<Cause> {
        let own = self.state.own?;
        let said = self.state.peer.beacon(self.settings, self.now)?;
        if self.state.is_unreachable(self.settings, self.now) {
            return Some(Cause::Unreachable);
        }
        let more = said.capacity.is_much_more_than(own.capacity) || !said.ready;
        (own.capacity < self.settings.min_active && more).then_some(Cause::Capacity)
    }

    /// A site that could not prove that it holds, or that nothing could reach.
    pub fn isolated(&mut self) {
        if self.state.kept.held.is_none() {
            if self.state.is_connected(self.settings, self.now) {
                self.enter(Phase::Standby, Reason::AllWell);
                self.stand_by();
            }
            return;
        }
        if self.peer_holds_higher() {
            return self.lose(Phase::Draining, Reason::Superseded);
        }
        if !self.state.role.is_reachable(self.settings.timing.silence(), self.now) || self.state.role.stale {
            return;
        }
        match self.state.role.sight.record() {
            None => self.lose(Phase::Standby, Reason::Absent),
            Some(record) if !record.is_held_by(Site::Us) => self.lose(Phase::Draining, Reason::Superseded),
            Some(_) if self.state.has_promised(self.now) => self.obstruct(Some(Reason::Promised)),
            Some(_) if self.settings.rules.isolated_renews => self.renew(),
            Some(record) => self.holds(record.epoch, self.state.role.asked),
        }
    }

    /// Whether the peer holds, by its own word, at an epoch above ours.
    pub fn peer_holds_higher(&self) -> bool {
        let said = self.state.peer.beacon(self.settings, self.now);
        said.and_then(|said| said.holds).is_some_and(|epoch| epoch > self.held())
    }

    /// Tells our gateways where new requests go, when that has changed.
    pub fn lead_gateways(&mut self) {
        let Some(preference) = self.preference() else { return };
        let before = self.state.kept.preference;
        if before == Some(preference) || before.is_some_and(|before| before.epoch > preference.epoch) {
            return;
        }
        self.state.kept.preference = Some(preference);
        self.act(Action::SetPreference(preference));
    }

    fn preference(&self) -> Option<Preference> {
        let said = self.state.peer.beacon(self.settings, self.now);
        match self.state.phase {
            Phase::Init | Phase::Promoting | Phase::Isolated | Phase::Frozen => None,
            Phase::Active => Some(Preference { active: Site::Us, epoch: self.held(), other: 0 }),
            Phase::Handover => {
                let handover = self.state.handover.as_ref()?;
                let other = handover.share(self.settings, self.now);
                Some(Preference { active: Site::Us, epoch: self.held(), other })
            }
            _ => {
                let stored = self.state.role.sight.record().filter(|record| record.is_held_by(Site::Peer));
                let epoch = stored.map(|record| record.epoch).or(said.and_then(|said| said.holds))?;
                let other = said.filter(|said| said.holds == Some(epoch)).and_then(|said| said.offers).unwrap_or(0);
                (epoch >= self.state.kept.highest).then_some(Preference { active: Site::Peer, epoch, other })
            }
        }
    }
}
