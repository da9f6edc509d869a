//! What a site without the role does.
//!
//! | Role | Peer's data plane | Then |
//! |---|---|---|
//! | fresh | up | stand by |
//! | fresh | down for us | get ready; the path is degraded |
//! | fresh | down for us and the observer | get ready; ask the holder to hand over |
//! | expired | up | get ready; its control plane is impaired |
//! | expired | down for us | get ready; the observer does not agree |
//! | expired | down | take it |
//! | released | any | take it at once if it is for us, after a lease if nobody came |
//! | bears our name | any | take it up by a write: at once if we know why, else after a lease |
//! | absent | any | make it: after a lease, or at once for the primary if nobody has ever held |
//! | witness silent, peer answers | any | stand by; acknowledge when asked |
//! | witness and peer silent | down | wait, or serve after 12 s without an arbiter: `onQuorumLoss` |
//! | any | nothing answers us | isolated |
//!
//! Nothing is taken while a promise is out, while our own gate is false, or against the word of a person who paused or wants to
//! switch by hand.

use super::Turn;
use super::action::Action;
use super::proof::GAP;
use super::reason::{Notice, Reason};
use super::role::{Epoch, Record, Sight, Site};
use super::settings::Mode;
use super::state::Phase;
use super::vantage::DataPlane;

/// What to do, before it is asked whether we may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Stand by.
    Rest,
    /// Stand by, and say why that is not enough.
    Wait(Reason),
    /// Get ready, and say why there is no switch.
    Watch(Reason),
    /// Confirm by a write what bears our name.
    TakeUp,
    /// Take the role.
    Take(Reason),
    /// Make the role, so far above what is known.
    Make(u64),
    /// Serve without an arbiter.
    Alone(Reason),
    /// Nothing answers us.
    Isolate,
}

impl Turn<'_> {
    /// One look of a site without the role.
    pub fn stand_by(&mut self) {
        let choice = self.permitted(self.choice());
        self.tell_obstacle(choice);
        match choice {
            Choice::Isolate => return self.enter(Phase::Isolated, Reason::NotConnected),
            Choice::Rest | Choice::Wait(_) => self.disarm(),
            Choice::Watch(_) | Choice::Take(_) | Choice::Make(_) | Choice::Alone(_) => self.arm(),
            Choice::TakeUp => {}
        }
        match choice {
            Choice::TakeUp => self.renew(),
            Choice::Take(_) => self.acquire(),
            Choice::Make(gap) => self.create(gap),
            Choice::Alone(reason) => return self.serve_alone(reason),
            _ => {}
        }
        self.settle(choice);
    }

    /// The table above.
    pub fn choice(&self) -> Choice {
        if !self.state.is_connected(self.settings, self.now) {
            return Choice::Isolate;
        }
        if !self.settings.witness {
            return self.choice_between_two();
        }
        if !self.state.role.is_reachable(self.settings.timing.silence(), self.now) {
            return self.choice_without_quorum();
        }
        match &self.state.role.sight {
            Sight::Unknown => Choice::Rest,
            Sight::Absent => self.choice_of_absent(),
            Sight::Present(record) => self.choice_of(record),
        }
    }

    fn choice_of(&self, record: &Record) -> Choice {
        let stood = self.has_expired();
        match (record.released, record.holder) {
            (Some(Site::Us), _) => Choice::Take(Reason::Released),
            (Some(_), _) if stood => Choice::Take(Reason::Unclaimed),
            (Some(_), _) => Choice::Rest,
            (None, Site::Stranger) => Choice::Wait(Reason::Stranger),
            (None, Site::Us) if self.state.knows(record) => Choice::TakeUp,
            (None, Site::Us) if stood && record.epoch < self.state.kept.highest => Choice::Take(Reason::EpochFell),
            (None, Site::Us) if stood => Choice::TakeUp,
            (None, Site::Us) => Choice::Wait(Reason::NamedUnknowing),
            (None, Site::Peer) => self.choice_against_peer(stood),
        }
    }

    fn choice_against_peer(&self, expired: bool) -> Choice {
        let hands_over = self.state.peer.beacon(self.settings, self.now).is_some_and(|beacon| beacon.offers.is_some());
        match (expired, self.plane()) {
            (true, _) if self.is_ordered() => Choice::Take(Reason::ExpiredAndOrdered),
            (true, DataPlane::Down) => Choice::Take(Reason::ExpiredAndDown),
            (true, DataPlane::DownForUs) => Choice::Watch(Reason::ObserverDoesNotAgree),
            (true, DataPlane::Up) => Choice::Watch(Reason::PeerControlPlaneImpaired),
            (false, DataPlane::Down) => Choice::Watch(Reason::LeaseFresh),
            (false, DataPlane::DownForUs) => Choice::Watch(Reason::PathDegraded),
            (false, DataPlane::Up) if hands_over => Choice::Watch(Reason::PeerHandsOver),
            (false, DataPlane::Up) => Choice::Rest,
        }
    }

    /// Nobody ever held, by our own memory and the peer's own word: the primary begins at once. Otherwise somebody may hold still.
    fn choice_of_absent(&self) -> Choice {
        let never = self.nobody_ever_held();
        let gap = if never { 1 } else { GAP };
        if never && self.settings.primary || self.has_expired() || !self.settings.rules.absence_is_watched {
            Choice::Make(gap)
        } else {
            Choice::Rest
        }
    }

    /// By our own memory, the peer's own word and the witness.
    pub fn nobody_ever_held(&self) -> bool {
        let said = self.state.peer.beacon(self.settings, self.now);
        let never = self.state.kept.highest == Epoch::NEVER && said.is_some_and(|said| said.highest == Epoch::NEVER);
        never && self.state.role.sight == Sight::Absent
    }

    fn permitted(&self, choice: Choice) -> Choice {
        let automatic = self.settings.mode == Mode::Automatic || self.is_ordered();
        let promised = self.state.has_promised(self.now);
        let by_itself = match choice {
            Choice::Take(reason) => !matches!(reason, Reason::Released | Reason::Unclaimed | Reason::EpochFell),
            Choice::Make(gap) => gap > 1,
            Choice::Alone(reason) => reason != Reason::Released,
            _ => false,
        };
        match choice {
            Choice::TakeUp if promised => Choice::Wait(Reason::Promised),
            Choice::Take(_) | Choice::Make(_) | Choice::Alone(_) if self.settings.paused => {
                Choice::Wait(Reason::Paused)
            }
            Choice::Take(_) | Choice::Make(_) | Choice::Alone(_) if by_itself && !automatic => {
                Choice::Watch(Reason::ManualMode)
            }
            Choice::Take(Reason::Released) if self.is_refused_by_guard() => Choice::Wait(Reason::TooManySwitches),
            Choice::Take(_) | Choice::Make(_) | Choice::Alone(_) if promised => Choice::Watch(Reason::Promised),
            Choice::Take(_) | Choice::Make(_) | Choice::Alone(_) if !self.state.is_ready(self.settings) => {
                Choice::Watch(Reason::NotReady)
            }
            permitted => permitted,
        }
    }

    /// A peer that gives the role away for the fourth time in an hour keeps it, if it can serve: it takes back what is not claimed.
    fn is_refused_by_guard(&self) -> bool {
        let said = self.state.peer.beacon(self.settings, self.now);
        self.state.guard.is_frozen(self.now) && said.is_some_and(|said| said.ready)
    }

    /// Whether a person wants this site to be active.
    pub fn is_ordered(&self) -> bool {
        self.state.order.is_some_and(|order| self.now < order.until)
    }

    fn has_expired(&self) -> bool {
        let trusted = !self.settings.rules.watch_after_restart && self.state.role.first;
        trusted || self.state.role.has_stood(self.settings.timing.lease, self.now)
    }

    /// The peer's data plane.
    pub fn plane(&self) -> DataPlane {
        if !self.settings.rules.data_plane_proof {
            return DataPlane::Down;
        }
        self.state.data_plane(self.settings, self.now)
    }

    fn arm(&mut self) {
        if !self.state.armed {
            self.state.armed = true;
            self.act(Action::Arm);
        }
    }

    /// There is no need to be ready for more than now.
    pub fn disarm(&mut self) {
        if self.state.armed {
            self.state.armed = false;
            self.act(Action::Disarm);
        }
    }

    fn tell_obstacle(&mut self, choice: Choice) {
        let (obstacle, ask) = match choice {
            Choice::Wait(reason) | Choice::Watch(reason) => (Some(reason), reason == Reason::LeaseFresh),
            _ => (None, false),
        };
        if ask && self.is_poll_due() {
            self.state.asked = Some(self.now);
            self.act(Action::AskHandover { epoch: self.state.kept.highest });
        }
        self.obstruct(obstacle);
    }

    /// Says why there is no switch, once.
    pub fn obstruct(&mut self, obstacle: Option<Reason>) {
        if self.state.obstacle == obstacle {
            return;
        }
        self.state.obstacle = obstacle;
        self.tell(obstacle.map_or(Notice::Cleared, |reason| Notice::NotStarted { reason }));
    }

    /// Whether the peer may be asked something again.
    pub fn is_poll_due(&self) -> bool {
        self.state.asked.is_none_or(|asked| self.now.since(asked) >= self.settings.timing.poll)
    }

    fn settle(&mut self, choice: Choice) {
        let phase = self.state.phase;
        let ready = self.state.is_ready(self.settings);
        let (to, reason) = match choice {
            Choice::Take(reason) if self.state.pending.is_some() => (Phase::Acquiring, reason),
            Choice::Make(_) if self.state.pending.is_some() => (Phase::Acquiring, Reason::Absent),
            _ if phase == Phase::Draining => return self.finish_draining(),
            Choice::Watch(reason) | Choice::Take(reason) => (Phase::Arming, reason),
            _ if phase == Phase::Recovering && !ready => return,
            Choice::Wait(reason) => (Phase::Standby, reason),
            _ => (Phase::Standby, Reason::AllWell),
        };
        self.enter(to, reason);
    }

    fn finish_draining(&mut self) {
        if self.now.since(self.state.since) >= self.settings.timing.drain {
            self.drained();
        }
    }

    /// No stream is left of the time when we were active.
    pub fn drained(&mut self) {
        if self.state.phase == Phase::Draining {
            let to = if self.state.is_ready(self.settings) { Phase::Standby } else { Phase::Recovering };
            self.enter(to, Reason::Drained);
        }
    }
}
