//! Without an arbiter: no witness, or one that does not answer while the peer is silent, too.
//!
//! Two sites cannot tell a dead peer from a cut link. `onQuorumLoss` says what then matters more:
//!
//! - `Promote`: somebody serves as active, always. Both may, during a partition; no shared write is sent, and when they hear of each other
//!   the lower epoch (counter, then rank) ends.
//! - `Hold`: never two. The role moves only by an offer that is taken, or by a person's word. An offer that is refused can never be
//!   taken later: who refuses remembers the epoch as used.
//!
//! *Caveat*: with `Hold` a site whose status was lost may take itself for one that never held, as long as it hears a peer that holds
//! nothing either. Two that forget at once, with one of them the primary, begin anew.
//!
//! With a witness that comes back its record decides, whatever was done without it.

use super::Turn;
use super::action::Action;
use super::reason::{Notice, Reason};
use super::role::{Epoch, Sight, Site};
use super::settings::{Mode, QuorumLoss};
use super::standby::Choice;
use super::state::Phase;
use super::vantage::DataPlane;

impl Turn<'_> {
    fn hears_peer(&self) -> bool {
        self.state.peer.heard.is_some_and(|heard| self.now.since(heard) < self.settings.timing.silence())
    }

    /// The witness does not answer.
    pub fn choice_without_quorum(&self) -> Choice {
        if self.hears_peer() {
            return Choice::Wait(Reason::WitnessLost);
        }
        let silent = self.state.peer.heard.unwrap_or(self.state.started);
        let long = self.now.since(silent) >= self.settings.timing.lonely;
        match (self.plane(), self.settings.on_quorum_loss) {
            _ if self.is_ordered() => Choice::Alone(Reason::Ordered),
            (DataPlane::Up, _) => Choice::Watch(Reason::PeerControlPlaneImpaired),
            (DataPlane::DownForUs, _) => Choice::Watch(Reason::ObserverDoesNotAgree),
            (DataPlane::Down, QuorumLoss::Hold) => Choice::Watch(Reason::QuorumLostHold),
            (DataPlane::Down, QuorumLoss::Promote) if long => Choice::Alone(Reason::QuorumLostPromote),
            (DataPlane::Down, QuorumLoss::Promote) => Choice::Watch(Reason::PeerSilent),
        }
    }

    /// There is no witness.
    pub fn choice_between_two(&self) -> Choice {
        if !self.hears_peer() {
            return self.choice_without_quorum();
        }
        let Some(said) = self.state.peer.said else { return Choice::Rest };
        let idle = self.is_idle();
        let ours = self.settings.primary || self.settings.on_quorum_loss == QuorumLoss::Promote && !said.ready;
        match said.holds {
            _ if self.is_ordered() => Choice::Alone(Reason::Ordered),
            Some(_) if said.offers.is_some() => Choice::Watch(Reason::PeerHandsOver),
            Some(_) if self.plane() != DataPlane::Up => Choice::Watch(Reason::PathDegraded),
            None if self.state.offered.is_some() => Choice::Wait(Reason::GivenUp),
            None if idle && ours => Choice::Alone(Reason::NobodyHolds),
            _ => Choice::Rest,
        }
    }

    /// A process without a witness, after it has watched for a lease: what it held it goes on to hold, unless another holds above it.
    pub fn start_alone(&mut self) {
        if self.state.kept.held.is_none() || self.peer_holds_higher() {
            self.lose(Phase::Standby, Reason::Watched);
            return self.stand_by();
        }
        self.state.unarbitrated = true;
        self.enter(Phase::Active, Reason::StillHolder);
    }

    /// Serves as active, above all epochs known.
    pub fn serve_alone(&mut self, reason: Reason) {
        let epoch = self.next_epoch(1);
        self.hold_unarbitrated(epoch, reason);
    }

    fn hold_unarbitrated(&mut self, epoch: Epoch, reason: Reason) {
        self.heed(epoch);
        self.state.kept.held = Some(epoch);
        self.state.unarbitrated = true;
        self.state.offered = None;
        self.state.order = None;
        self.state.guard.holds(Site::Us, self.now);
        self.enter(Phase::Active, reason);
    }

    /// One look of an active site without an arbiter.
    pub fn hold_alone(&mut self) {
        let witness_is_back =
            self.settings.witness && self.state.role.is_reachable(self.settings.timing.silence(), self.now);
        if self.peer_holds_higher() {
            return self.lose(Phase::Draining, Reason::Superseded);
        }
        if witness_is_back && self.state.role.sight != Sight::Unknown {
            self.lose(Phase::Standby, Reason::AllWell);
            return self.stand_by();
        }
        self.tell_dual();
        if !self.settings.witness {
            self.judge_itself();
        }
    }

    /// Both serve as active: people are told once, and the lower epoch ends.
    fn tell_dual(&mut self) {
        let said = self.state.peer.beacon(self.settings, self.now).and_then(|said| said.holds);
        let other = said.filter(|_| self.state.peer.asked > self.state.since);
        if let Some(other) = other.filter(|_| !self.state.dual) {
            self.tell(Notice::DualActive { epoch: other.max(self.held()) });
        }
        self.state.dual = other.is_some();
    }

    /// Gives the role to the peer, and goes on saying so until it answers.
    pub fn offer(&mut self, reason: Reason) {
        let epoch = self.next_epoch(1);
        self.heed(epoch);
        self.state.offered = Some(epoch);
        self.act(Action::OfferRole { epoch });
        self.lose(Phase::Draining, reason);
    }

    /// Says again what has not been answered.
    pub fn offer_again(&mut self) {
        let Some(epoch) = self.state.offered else { return self.pass_on() };
        let said = self.state.peer.beacon(self.settings, self.now);
        if said.is_some_and(|said| said.highest >= epoch) {
            self.state.offered = None;
        } else if self.is_poll_due() {
            self.state.asked = Some(self.now);
            self.act(Action::OfferRole { epoch });
        }
    }

    /// Nobody holds, we are not ready and the peer is: the primary, who alone may begin, gives away what it could take.
    fn pass_on(&mut self) {
        let first = self.settings.primary && self.state.leads.is_some();
        let alone = !self.settings.witness && first && self.state.kept.held.is_none();
        let said = self.state.peer.beacon(self.settings, self.now);
        let wanted = said.is_some_and(|said| said.ready && said.holds.is_none()) && !self.state.is_ready(self.settings);
        let automatic =
            self.settings.mode == Mode::Automatic && !self.settings.paused && self.state.phase != Phase::Init;
        if alone && wanted && automatic && self.is_idle() {
            self.offer(Reason::NotReady);
        }
    }

    fn is_idle(&self) -> bool {
        self.state.peer.idle.is_some_and(|since| self.now.since(since) >= self.settings.timing.lease)
    }

    /// The peer gives us the role.
    pub fn offered(&mut self, epoch: Epoch) {
        if self.settings.witness || epoch <= self.state.kept.highest {
            return;
        }
        let can = self.state.is_ready(self.settings) && !self.settings.paused && self.state.phase != Phase::Init;
        if can {
            self.hold_unarbitrated(epoch, Reason::Released);
        } else {
            self.heed(epoch);
            self.act(Action::RefuseRole { epoch });
        }
    }

    /// The peer will never take what we offered: it is ours again, above what was offered.
    pub fn refused(&mut self, epoch: Epoch) {
        if self.state.offered == Some(epoch) {
            self.serve_alone(Reason::Refused);
        }
    }
}
