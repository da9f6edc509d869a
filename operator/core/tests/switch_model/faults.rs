//! What the world may do in a tick: one fault, or one repair, or nothing.

use deepseek_core::decide::switch::State;

use crate::scenario::Link;
use crate::tick::Tick;
use crate::world::Flight;

#[derive(Clone, Copy, Debug)]
enum Happening {
    Nothing,
    Cut(u8),
    Heal(u8),
    SiteDies(usize),
    SiteReturns(usize),
    Crash(usize),
    Start(usize),
    Delete,
    LosesReadiness(usize),
    Ready(usize),
    Order,
}

const ALL_OF_A: u8 =
    Link::WitnessA as u8 | Link::Peers as u8 | Link::ProbeA as u8 | Link::ProbeB as u8 | Link::ObserveA as u8;

impl Tick<'_> {
    /// Faults and repairs are counted.
    pub fn happen(&mut self) {
        let mut all = vec![Happening::Nothing];
        if self.world.faults > 0 {
            self.repairs(&mut all);
            self.faults(&mut all);
        }
        let happening = all[self.chooser.choose(all.len())];
        if !matches!(happening, Happening::Nothing) {
            self.say(|| format!("  {happening:?}"));
        }
        self.apply(happening);
    }

    fn repairs(&self, all: &mut Vec<Happening>) {
        let world = &self.world;
        all.extend(self.cuttable().filter(|link| world.cut & link != 0).map(Happening::Heal));
        for site in 0..2 {
            if !world.alive[site] {
                all.push(Happening::SiteReturns(site));
            }
            if !world.ready[site] {
                all.push(Happening::Ready(site));
            }
        }
        for (at, process) in world.processes.iter().enumerate() {
            if process.state.is_none() && world.alive[process.site] {
                all.push(Happening::Start(at));
            }
        }
    }

    fn faults(&self, all: &mut Vec<Happening>) {
        let (world, scenario) = (&self.world, self.scenario);
        all.extend(self.cuttable().filter(|link| world.cut & link == 0).map(Happening::Cut));
        if scenario.site_loss {
            all.extend((0..2).filter(|site| world.alive[*site]).map(Happening::SiteDies));
        }
        if scenario.gates {
            all.extend((0..2).filter(|site| world.ready[*site]).map(Happening::LosesReadiness));
        }
        if scenario.crashes {
            let up = world.processes.iter().enumerate().filter(|(_, process)| process.state.is_some());
            all.extend(up.map(|(at, _)| Happening::Crash(at)));
        }
        if scenario.deletion && world.role.is_some() && !world.deleted {
            all.push(Happening::Delete);
        }
        if scenario.orders {
            all.push(Happening::Order);
        }
    }

    fn cuttable(&self) -> impl Iterator<Item = u8> {
        let all = self.scenario.cut_off.then_some(ALL_OF_A);
        self.scenario.links.iter().map(|link| *link as u8).chain(all)
    }

    fn apply(&mut self, happening: Happening) {
        self.world.faults -= u8::from(!matches!(happening, Happening::Nothing));
        match happening {
            Happening::Nothing => {}
            Happening::Cut(links) => self.world.cut |= links,
            Happening::Heal(links) => self.world.cut &= !links,
            Happening::SiteDies(site) => {
                self.world.alive[site] = false;
                let ours = |at: &usize| self.world.processes[*at].site == site;
                for at in (0..self.world.processes.len()).filter(ours).collect::<Vec<_>>() {
                    self.crash(at);
                }
            }
            Happening::SiteReturns(site) => self.world.alive[site] = true,
            Happening::Crash(at) => self.crash(at),
            Happening::Start(at) => {
                let process = &mut self.world.processes[at];
                process.state = Some(State::restarted(self.world.kept[process.site], process.now));
            }
            Happening::Delete => {
                self.world.role = None;
                self.world.deleted = true;
            }
            Happening::LosesReadiness(site) => self.world.ready[site] = false,
            Happening::Ready(site) => self.world.ready[site] = true,
            Happening::Order => self.order(),
        }
    }

    /// All that was not kept is gone, and so are answers to the process.
    fn crash(&mut self, at: usize) {
        self.world.processes[at].state = None;
        self.world.flights.retain(|flight| !matches!(flight, Flight::Answer { to, .. } if *to == at));
    }
}
