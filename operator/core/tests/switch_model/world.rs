//! Two sites that run the real `step`, a witness with one register, an observer, links, and time in ticks.
//!
//! In each tick the clocks move, the world does at most one thing, messages that were late arrive, and each process probes, hears its
//! peer and ticks. A request is answered in the same tick unless it is lost or late. After the tick all moments are shifted so that every
//! clock shows the same again and ages beyond all time-outs are one: worlds that differ in nothing that matters are equal.

use deepseek_core::decide::switch::event::{Command, Event, Outcome};
use deepseek_core::decide::switch::role::{Epoch, Record, Site, Version};
use deepseek_core::decide::switch::settings::Capacity;
use deepseek_core::decide::switch::state::{Kept, Own};
use deepseek_core::decide::switch::vantage::{Paths, Verdict};
use deepseek_core::decide::switch::{Action, Moment, State, step};

use crate::chooser::Chooser;
use crate::scenario::{Link, Scenario};
use crate::shift::BASE;

/// The role as the witness stores it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    pub holder: usize,
    pub epoch: Epoch,
    pub released: Option<usize>,
    pub version: u64,
}

/// A replica of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub site: usize,
    pub now: Moment,
    pub state: Option<State>,
}

/// Something on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Flight {
    /// A write that will reach the witness later; its answer will reach nobody.
    Write { site: usize, write: Action, age: u8 },
    /// What a process will be told later.
    Answer { to: usize, event: Event },
    /// A write of the DNS record.
    Dns { site: usize, epoch: Epoch },
}

/// All there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub role: Option<Stored>,
    pub version: u64,
    /// The highest epoch ever stored, and who held then.
    pub top: Epoch,
    pub dns: Epoch,
    /// Once: a late creation brings an old epoch back when the role is deleted a second time, and no client can prevent that. The witness
    /// must refuse deletions.
    pub deleted: bool,
    pub processes: Vec<Process>,
    pub kept: [Kept; 2],
    pub alive: [bool; 2],
    pub ready: [bool; 2],
    pub cut: u8,
    pub faults: u8,
    pub losses: u8,
    pub flights: Vec<Flight>,
}

/// One tick under way.
pub struct Tick<'a> {
    pub scenario: &'a Scenario,
    pub chooser: &'a mut Chooser,
    pub world: World,
    /// The first invariant that broke.
    pub broken: Option<String>,
    /// What happened, if anybody wants to know.
    pub story: Option<Vec<String>>,
}

impl World {
    /// Nobody has ever held anything.
    pub fn new(scenario: &Scenario) -> Self {
        let process = |site: &usize| Process { site: *site, now: BASE, state: Some(State::restarted(Kept::default(), BASE)) };
        Self {
            role: None,
            version: 1,
            top: Epoch::NEVER,
            dns: Epoch::NEVER,
            deleted: false,
            processes: scenario.processes.iter().map(process).collect(),
            kept: [Kept::default(); 2],
            alive: [true; 2],
            ready: [true; 2],
            cut: 0,
            faults: scenario.faults,
            losses: scenario.losses,
            flights: Vec::new(),
        }
    }

    /// The same with all links healed, all processes up and no more faults to come.
    pub fn healed(&self) -> Self {
        let mut world = Self { cut: 0, alive: [true; 2], ready: [true; 2], faults: 0, losses: 0, flights: Vec::new(), ..self.clone() };
        for process in &mut world.processes {
            let (kept, now) = (world.kept[process.site], process.now);
            process.state.get_or_insert_with(|| State::restarted(kept, now));
        }
        world
    }

    pub fn is_up(&self, link: Link) -> bool {
        self.cut & link as u8 == 0
    }

    fn reaches_witness(&self, site: usize) -> bool {
        self.is_up([Link::WitnessA, Link::WitnessB][site])
    }

    /// Sites that could prove at this very moment that they hold, with their epochs.
    pub fn holders(&self, scenario: &Scenario) -> Vec<(usize, Epoch)> {
        let mut holders = Vec::new();
        for Process { site, now, state } in &self.processes {
            let Some(state) = state else { continue };
            let settings = scenario.settings(*site);
            if state.believes(&settings, *now) && !state.unarbitrated && !holders.iter().any(|(other, _)| other == site) {
                holders.push((*site, state.kept.held.unwrap_or_default()));
            }
        }
        holders
    }

    /// Sites that take themselves for active, with or without an arbiter.
    pub fn active(&self, scenario: &Scenario) -> Vec<usize> {
        let believes = |process: &&Process| {
            process.state.as_ref().is_some_and(|state| state.believes(&scenario.settings(process.site), process.now))
        };
        let mut sites: Vec<_> = self.processes.iter().filter(believes).map(|process| process.site).collect();
        sites.dedup();
        sites
    }

    pub fn record(&self, site: usize) -> Option<Record> {
        let named = |of: usize| if of == site { Site::Us } else { Site::Peer };
        self.role.as_ref().map(|stored| Record {
            holder: named(stored.holder),
            epoch: stored.epoch,
            released: stored.released.map(named),
            version: Version(stored.version.to_string()),
        })
    }
}

impl Tick<'_> {
    /// Lets one tick pass.
    pub fn run(&mut self) {
        for process in &mut self.world.processes {
            process.now = process.now + std::time::Duration::from_millis(self.scenario.rates[process.site]);
        }
        self.check();
        self.happen();
        let late = !self.world.flights.is_empty() && self.chooser.choose(2) == 1;
        if !late {
            self.arrive();
        }
        let mut order: Vec<_> = (0..self.world.processes.len()).collect();
        if self.scenario.either_first && self.chooser.choose(2) == 1 {
            order.reverse();
        }
        let on_their_way = std::mem::take(&mut self.world.flights);
        for process in order {
            self.live(process);
        }
        let new = std::mem::replace(&mut self.world.flights, on_their_way);
        if late {
            self.arrive();
        }
        self.world.flights.extend(new);
        self.check();
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    pub fn break_rule(&mut self, rule: &str) {
        self.broken.get_or_insert_with(|| rule.to_owned());
    }

    /// One process looks around.
    fn live(&mut self, process: usize) {
        let (world, site) = (&self.world, self.world.processes[process].site);
        if world.processes[process].state.is_none() {
            return;
        }
        let other = 1 - site;
        let probed = |link: Link| world.is_up(link) && world.alive[other];
        let answered = probed([Link::ProbeB, Link::ProbeA][site]);
        let judged = |of: usize| {
            let up = world.is_up([Link::ObserveA, Link::ObserveB][of]) && world.alive[of];
            if up { Verdict::Up } else { Verdict::Down }
        };
        let (us, peer) = (judged(site), judged(other));
        let capacity = if world.ready[site] { Capacity(1000) } else { Capacity::NONE };
        let own = Own { capacity, demand: Capacity(500), hot: world.ready[site], canary: world.ready[site] };
        let reachable = world.reaches_witness(site) || world.is_up([Link::ObserveA, Link::ObserveB][site]);
        let leads = self.world.processes.iter().position(|other| other.site == site && other.state.is_some()) == Some(process);
        self.give(process, &Event::Leads { leads });
        self.give(process, &Event::OwnState(own));
        self.give(process, &Event::Connectivity(Paths { hairpin: true, references: reachable }));
        self.give(process, &Event::Probed { answered });
        if self.scenario.observer {
            self.give(process, &Event::Observed { us, peer });
        }
        self.hear(process, other);
        self.give(process, &Event::Tick);
    }

    fn hear(&mut self, process: usize, other: usize) {
        let asked = self.world.processes[process].now;
        let settings = self.scenario.settings(other);
        let mut beacons = Vec::new();
        for Process { site, now, state } in &self.world.processes {
            if let Some(state) = state.as_ref().filter(|_| *site == other) {
                beacons.push(state.beacon(&settings, 99, *now));
            }
        }
        let beacon = beacons.iter().find(|beacon| beacon.holds.is_some()).or(beacons.first()).copied();
        if let Some(beacon) = beacon.filter(|_| self.world.is_up(Link::Peers)) {
            self.give(process, &Event::PeerHeard { asked, direct: true, beacon });
        }
    }

    /// A process learns something, and does what follows.
    pub fn give(&mut self, to: usize, event: &Event) {
        let process = &mut self.world.processes[to];
        let Some(state) = process.state.take() else { return };
        let (site, now) = (process.site, process.now);
        let settings = self.scenario.settings(site);
        let (state, actions) = step(&settings, state, event, now);
        self.world.processes[to].state = Some(state);
        self.check();
        for action in actions {
            self.perform(to, site, now, action);
        }
    }

    fn perform(&mut self, process: usize, site: usize, now: Moment, action: Action) {
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
            // handed over by `ask`, which looks for it
            Action::Acknowledge { .. } => {}
            Action::SetPreference(_) | Action::Arm | Action::Disarm | Action::Tell(_) => {}
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
    pub fn loses(&mut self, ways: usize) -> usize {
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
        if fate == 2 { self.world.flights.push(Flight::Answer { to: process, event }) } else { self.give(process, &event) }
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
    pub fn store(&mut self, site: usize, write: &Action) -> Outcome {
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
    fn arrive(&mut self) {
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

    pub fn order(&mut self) {
        for process in 0..self.world.processes.len() {
            self.give(process, &Event::Ordered(Command::Switchover { accept_degraded: false }));
        }
    }
}
