//! One tick: the clocks move, the world does at most one thing, what was late arrives, each process probes, hears its peer and ticks.

use std::time::Duration;

use deepseek_core::decide::switch::event::{Command, Event};
use deepseek_core::decide::switch::settings::Capacity;
use deepseek_core::decide::switch::state::Own;
use deepseek_core::decide::switch::step;
use deepseek_core::decide::switch::vantage::{Paths, Verdict};

use crate::chooser::Chooser;
use crate::scenario::{Link, Scenario};
use crate::world::{Process, World};

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

impl Tick<'_> {
    /// Lets one tick pass.
    pub fn run(&mut self) {
        for process in &mut self.world.processes {
            process.now = process.now + Duration::from_millis(self.scenario.rates[process.site]);
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
        if rule.starts_with(self.scenario.only) {
            self.broken.get_or_insert_with(|| rule.to_owned());
        }
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
        let leads =
            self.world.processes.iter().position(|other| other.site == site && other.state.is_some()) == Some(process);
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

    pub fn order(&mut self) {
        for process in 0..self.world.processes.len() {
            self.give(process, &Event::Ordered(Command::Switchover { accept_degraded: false }));
        }
    }
}
