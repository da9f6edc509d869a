//! What processes ask for, and what becomes of it: each message may be lost, or late, or its answer may.

use deepseek_core::decide::switch::event::{Event, Outcome};
use deepseek_core::decide::switch::role::Epoch;
use deepseek_core::decide::switch::state::Kept;
use deepseek_core::decide::switch::{Action, Moment, step};

use crate::scenario::Link;
use crate::tick::Tick;
use crate::world::{Flight, Process, Stored};

impl Tick<'_> {
    pub fn perform(&mut self, process: usize, site: usize, now: Moment, action: Action) {
        if !matches!(action, Action::ReadRole | Action::Persist(_)) {
            self.say(|| format!("    {}{process}: {action:?}", ["A", "B"][site]));
        }
        match action {
            Action::Persist(kept) => {
                if self.scenario.keeps {
                    let highest = kept.highest.max(self.world.kept[site].highest);
                    self.world.kept[site] = Kept { highest, switches: 0, ..kept };
                }
            }
            Action::ReadRole => self.read(process, site, now),
            Action::Renew { .. } | Action::Acquire { .. } | Action::Create { .. } | Action::Release { .. } => {
                self.judge(process, site, &action);
                if matches!(action, Action::Release { .. }) {
                    self.tell_siblings(process, site, &Event::SiblingReleased);
                }
                self.write(process, site, now, action);
            }
            Action::AskAcknowledgement { epoch } => self.ask(process, site, now, epoch),
            Action::WriteDns { epoch } => self.write_dns(process, site, epoch),
            Action::AskHandover { epoch } => self.tell_peer(site, &Event::HandoverAsked { epoch }),
            Action::OfferRole { epoch } => self.tell_peer(site, &Event::RoleOffered { epoch }),
            Action::RefuseRole { epoch } => self.tell_peer(site, &Event::RoleRefused { epoch }),
            // an acknowledgement is handed over by `ask`, which looks for it
            Action::Acknowledge { .. } | Action::SetPreference(_) | Action::Arm | Action::Disarm | Action::Tell(_) => {}
        }
    }

    fn tell_siblings(&mut self, process: usize, site: usize, event: &Event) {
        for sibling in 0..self.world.processes.len() {
            if self.scenario.siblings && sibling != process && self.world.processes[sibling].site == site {
                self.give(sibling, event);
            }
        }
    }

    fn tell_peer(&mut self, site: usize, event: &Event) {
        let other = self.world.processes.iter().position(|process| process.site != site && process.state.is_some());
        let lost = !self.world.is_up(Link::Peers) || self.loses(2) == 1;
        if let Some(other) = other.filter(|_| !lost) {
            self.give(other, event);
        }
    }

    /// A vote is asked for, given, and perhaps heard. Each may be lost; the answer may be late.
    fn ask(&mut self, process: usize, site: usize, asked: Moment, epoch: Epoch) {
        let other = self.world.processes.iter().position(|process| process.site != site && process.state.is_some());
        let Some(other) = other.filter(|_| self.world.is_up(Link::Peers)) else { return };
        let fate = self.loses(3);
        let before = self.world.processes[other].state.clone();
        let (state, actions) = {
            let Process { site, now, .. } = self.world.processes[other];
            let Some(before) = before else { return };
            step(&self.scenario.settings(site), before, &Event::AcknowledgementAsked { epoch }, now)
        };
        self.world.processes[other].state = Some(state);
        let given = actions.iter().any(|action| matches!(action, Action::Acknowledge { .. }));
        let Process { site: voter, now, .. } = self.world.processes[other];
        for action in actions {
            self.perform(other, voter, now, action);
        }
        if !given {
            return;
        }
        if self.scenario.rules.acknowledgement_promises {
            self.tell_siblings(other, voter, &Event::SiblingPromised);
        }
        let event = Event::Acknowledged { asked, epoch };
        match fate {
            0 => self.give(process, &event),
            1 => self.world.flights.push(Flight::Answer { to: process, event }),
            _ => {}
        }
    }

    /// 0, or one of the ways in which a message may fail, if any is left.
    fn loses(&mut self, ways: usize) -> usize {
        let fate = if self.world.losses > 0 { self.chooser.choose(ways) } else { 0 };
        if fate > 0 {
            self.world.losses -= 1;
            self.say(|| format!("    lost or late: {fate}"));
        }
        fate
    }

    fn read(&mut self, process: usize, site: usize, asked: Moment) {
        let fate = if self.scenario.reads { self.loses(3) } else { 0 };
        if !self.world.reaches_witness(site) || fate == 1 {
            return self.give(process, &Event::ReadFailed);
        }
        let event = Event::RoleRead { asked, role: self.world.record(site) };
        if fate == 2 {
            self.world.flights.push(Flight::Answer { to: process, event });
        } else {
            self.give(process, &event);
        }
    }

    fn write(&mut self, process: usize, site: usize, asked: Moment, write: Action) {
        if !self.world.reaches_witness(site) {
            return;
        }
        match self.loses(5) {
            1 => {}
            2 => drop(self.store(site, &write)),
            3 => self.world.flights.push(Flight::Write { site, write, age: 0 }),
            fate => {
                let outcome = self.store(site, &write);
                let event = Event::RoleWritten { asked, outcome };
                match fate {
                    0 => self.give(process, &event),
                    _ => self.world.flights.push(Flight::Answer { to: process, event }),
                }
            }
        }
    }

    /// The witness takes a write in, or says that the version is another by now.
    fn store(&mut self, site: usize, write: &Action) -> Outcome {
        let (expected, epoch, released) = match write {
            Action::Renew { expected, epoch } | Action::Acquire { expected, epoch } => (Some(expected), *epoch, None),
            Action::Release { expected, epoch, .. } => (Some(expected), *epoch, Some(1 - site)),
            Action::Create { epoch } => (None, *epoch, None),
            _ => return Outcome::Failed,
        };
        let stored = self.world.role.as_ref().map(|stored| stored.version.to_string());
        if self.scenario.compares && stored.as_ref() != expected.map(|version| &version.0) {
            return Outcome::Conflict;
        }
        let holder = self.world.role.as_ref().map(|stored| stored.holder);
        self.judge_epoch(site, holder, epoch);
        self.world.version += 1;
        self.world.top = self.world.top.max(epoch);
        let holder = site;
        self.world.role = Some(Stored { holder, epoch, released, version: self.world.version });
        self.world.record(site).map_or(Outcome::Failed, Outcome::Stored)
    }

    fn write_dns(&mut self, process: usize, site: usize, epoch: Epoch) {
        match self.loses(2) {
            0 => {
                self.store_dns(site, epoch);
                self.give(process, &Event::DnsWritten { epoch, done: true });
            }
            _ => self.world.flights.push(Flight::Dns { site, epoch }),
        }
    }

    fn store_dns(&mut self, site: usize, epoch: Epoch) {
        let newer = self.world.holders(self.scenario).iter().any(|(other, held)| *other != site && *held > epoch);
        if newer {
            self.break_rule("S3: a shared write with an old epoch arrives beside a newer holder");
        }
        self.world.dns = self.world.dns.max(epoch);
    }

    /// What was late comes in, or stays away for longer.
    pub fn arrive(&mut self) {
        for flight in std::mem::take(&mut self.world.flights) {
            match flight {
                Flight::Answer { to, event } => self.give(to, &event),
                Flight::Dns { site, epoch } => self.store_dns(site, epoch),
                Flight::Write { site, write, age } if age < 6 && self.chooser.choose(2) == 1 => {
                    self.world.flights.push(Flight::Write { site, write, age: age + 1 });
                }
                Flight::Write { site, write, .. } => {
                    self.say(|| format!("    late write of {}: {write:?}", ["A", "B"][site]));
                    drop(self.store(site, &write));
                }
            }
        }
    }
}
