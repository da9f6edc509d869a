//! An event becomes knowledge. Nothing is decided here but answers to what the peer or a person asks.

use std::time::Duration;

use super::Turn;
use super::event::{Command, Event};
use super::proof::GAP;
use super::reason::{Notice, Reason};
use super::role::Epoch;
use super::state::{Beacon, Order, Own};
use super::time::Moment;
use super::vantage::Verdict;

/// A person's word to take the role counts for so long.
const ORDER: Duration = Duration::from_secs(60);

/// A peer that claims to know an epoch so far above all that we know is not believed: the witness counts in 32 bits, and one lie a second
/// would use them up in an afternoon. A true one, made anew twice, is not further; the witness itself shows what is.
const LEAP: u64 = 2 * GAP;

impl Turn<'_> {
    /// Takes in one event.
    pub fn learn(&mut self, event: &Event) {
        match event {
            Event::Tick => {}
            Event::RoleRead { asked, role } => self.saw(*asked, role.clone()),
            Event::ReadFailed => self.state.role.fail(),
            Event::RoleWritten { asked, outcome } => self.wrote(*asked, outcome.clone()),
            Event::Probed { answered } => self.state.probes.take(*answered, &self.settings.timing, self.now),
            Event::Observed { us, peer } => {
                self.state.observer.us = *us;
                self.state.observer.peer = *peer;
                self.state.observer.heard = Some(self.now);
            }
            Event::Connectivity(paths) => self.state.paths = *paths,
            Event::OwnState(own) => self.looked_at_itself(*own),
            Event::PeerHeard { asked, direct, beacon } => self.heard(*asked, *direct, *beacon),
            Event::AcknowledgementAsked { epoch } => self.acknowledge(*epoch),
            Event::Acknowledged { asked, epoch } => self.acknowledged(*asked, *epoch),
            Event::Leads { leads } => self.state.leads = leads.then(|| self.state.leads.unwrap_or(self.now)),
            Event::SiblingPromised | Event::SiblingReleased => self.sibling_spoke(),
            Event::HandoverAsked { epoch } => self.asked_to_hand_over(*epoch),
            Event::RoleOffered { epoch } => self.offered(*epoch),
            Event::RoleRefused { epoch } => self.refused(*epoch),
            Event::DnsWritten { epoch, done } => self.dns_written(*epoch, *done),
            Event::Drained => self.drained(),
            Event::Ordered(command) => self.ordered(*command),
        }
    }

    fn looked_at_itself(&mut self, own: Own) {
        self.state.own = Some(own);
        let now = self.now;
        self.state.unready = if self.state.is_ready(self.settings) { None } else { self.state.unready.or(Some(now)) };
    }

    /// Only what is newer than what we know, and not beyond belief.
    fn heard(&mut self, asked: Moment, direct: bool, beacon: Beacon) {
        if direct {
            self.state.peer.heard = self.state.peer.heard.max(Some(asked));
        }
        if beacon.highest.counter > self.state.kept.highest.counter.saturating_add(LEAP) {
            return self.tell(Notice::PeerImplausible);
        }
        let gap = self.now.since(self.state.peer.asked) >= self.settings.timing.fresh;
        let peer = &mut self.state.peer;
        if peer.said.is_some() && asked < peer.asked {
            return;
        }
        let since = |before: Option<Moment>, holds: bool| before.filter(|_| !gap).or(Some(self.now)).filter(|_| holds);
        peer.idle = since(peer.idle, beacon.holds.is_none());
        peer.ready = since(peer.ready, beacon.ready);
        peer.said = Some(beacon);
        peer.asked = asked;
        self.heed(beacon.highest);
    }

    /// The peer cannot reach us and says so before its next beacon does. It is one vote of three, no more.
    fn asked_to_hand_over(&mut self, epoch: Epoch) {
        if let Some(said) = self.state.peer.said.as_mut().filter(|_| self.state.kept.held == Some(epoch)) {
            said.sees_you = Verdict::Down;
        }
    }

    fn ordered(&mut self, command: Command) {
        match command {
            Command::Switchover { accept_degraded } => self.switch_over(accept_degraded),
            Command::Abort => self.abort(Reason::Ordered),
            Command::Promote => self.state.order = Some(Order { until: self.now + ORDER }),
        }
    }
}
