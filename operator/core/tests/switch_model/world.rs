//! Two sites that run the real `step`, a witness with one register, an observer, links, and time in ticks.
//!
//! In each tick the clocks move, the world does at most one thing, messages that were late arrive, and each process probes, hears its
//! peer and ticks. A request is answered in the same tick unless it is lost or late. After the tick all moments are shifted so that every
//! clock shows the same again and ages beyond all time-outs are one: worlds that differ in nothing that matters are equal.

use deepseek_core::decide::switch::event::Event;
use deepseek_core::decide::switch::role::{Epoch, Record, Site, Version};
use deepseek_core::decide::switch::state::Kept;
use deepseek_core::decide::switch::{Action, Moment, State};

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

impl World {
    /// Nobody has ever held anything.
    pub fn new(scenario: &Scenario) -> Self {
        let process =
            |site: &usize| Process { site: *site, now: BASE, state: Some(State::restarted(Kept::default(), BASE)) };
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

    /// The same with all links healed, all processes up and no more faults to come. Replicas of one site may stay away.
    pub fn healed(&self) -> Self {
        let ready = if self.ready == [false; 2] { [true; 2] } else { self.ready };
        let mut world =
            Self { cut: 0, alive: [true; 2], ready, faults: 0, losses: 0, flights: Vec::new(), ..self.clone() };
        for process in &mut world.processes {
            let (kept, now) = (world.kept[process.site], process.now);
            process.state.get_or_insert_with(|| State::restarted(kept, now));
        }
        world
    }

    pub fn is_up(&self, link: Link) -> bool {
        self.cut & link as u8 == 0
    }

    pub fn reaches_witness(&self, site: usize) -> bool {
        self.is_up([Link::WitnessA, Link::WitnessB][site])
    }

    /// Sites that could prove at this very moment that they hold, with their epochs.
    pub fn holders(&self, scenario: &Scenario) -> Vec<(usize, Epoch)> {
        let mut holders = Vec::new();
        for Process { site, now, state } in &self.processes {
            let Some(state) = state else { continue };
            let settings = scenario.settings(*site);
            if state.believes(&settings, *now) && !state.unarbitrated && !holders.iter().any(|(other, _)| other == site)
            {
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
