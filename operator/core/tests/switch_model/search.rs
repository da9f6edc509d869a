//! Breadth first through all worlds that differ, with the shortest story of the first that is broken.
//!
//! A search of our own, rather than `stateright`: it is fifty lines, all worlds of a tick come from one piece of straight code (see
//! `chooser`), and the tree stays free of a web server and its thirty crates.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::chooser::Chooser;
use crate::invariants::{QUIET, recovers};
use crate::scenario::Scenario;
use crate::shift::shifted;
use crate::tick::Tick;
use crate::world::World;

/// What an exploration came to.
pub struct Report {
    pub worlds: usize,
    pub steps: usize,
    pub ticks: usize,
    pub quiet: usize,
    /// Whether nothing was left.
    pub complete: bool,
    /// The invariant that broke, and how it came to that.
    pub broken: Option<(String, Vec<String>)>,
}

struct Found {
    world: World,
    from: usize,
    depth: usize,
}

/// Looks at no more than so many worlds; asks one in `sample` whether it recovers.
pub fn explore(scenario: &Scenario, limit: usize, sample: u64) -> Report {
    let start = settled(scenario);
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen = HashSet::from([hasher.hash_one(&start)]);
    let mut stories: Vec<(usize, Vec<u8>)> = vec![(0, Vec::new())];
    let mut queue = VecDeque::from([Found { world: start.clone(), from: 0, depth: 0 }]);
    let mut report = Report { worlds: 1, steps: 0, ticks: 0, quiet: 0, complete: true, broken: None };
    while let Some(Found { world, from, depth }) = queue.pop_front() {
        report.ticks = report.ticks.max(depth);
        let mut chooser = Chooser::default();
        loop {
            let (next, broken) = pass(scenario, &world, &mut chooser);
            report.steps += 1;
            let mut found = broken;
            let hash = hasher.hash_one(&next);
            if next.top.counter % 1000 <= scenario.epochs && seen.insert(hash) {
                if found.is_none() && hash % sample == 0 {
                    report.quiet += 1;
                    found = recovers_in_quiet(scenario, &next);
                }
                stories.push((from, chooser.answers().to_vec()));
                queue.push_back(Found { world: next, from: stories.len() - 1, depth: depth + 1 });
                report.worlds += 1;
            } else if found.is_some() {
                stories.push((from, chooser.answers().to_vec()));
            }
            if let Some(rule) = found {
                report.broken = Some((rule, story(scenario, &start, &stories, stories.len() - 1)));
                return report;
            }
            if !chooser.next() {
                break;
            }
        }
        if report.worlds >= limit {
            report.complete = queue.is_empty();
            break;
        }
    }
    report
}

/// The first world: all has been well for a while.
fn settled(scenario: &Scenario) -> World {
    let quiet = Scenario { faults: 0, losses: 0, either_first: false, ..*scenario };
    let mut world = World::new(&quiet);
    for _ in 0..QUIET {
        world = pass(&quiet, &world, &mut Chooser::default()).0;
    }
    World { faults: scenario.faults, losses: scenario.losses, ..world }
}

fn pass(scenario: &Scenario, world: &World, chooser: &mut Chooser) -> (World, Option<String>) {
    let mut tick = Tick { scenario, chooser, world: world.clone(), broken: None, story: None };
    tick.run();
    let Tick { world, broken, .. } = tick;
    (shifted(world), broken)
}

fn recovers_in_quiet(scenario: &Scenario, world: &World) -> Option<String> {
    let quiet = Scenario { either_first: false, ..*scenario };
    recovers(world, |world| world.active(&quiet), |world| pass(&quiet, world, &mut Chooser::default()))
}

fn story(scenario: &Scenario, start: &World, stories: &[(usize, Vec<u8>)], last: usize) -> Vec<String> {
    let mut path = Vec::new();
    let mut at = last;
    while at != 0 {
        path.push(&stories[at].1);
        at = stories[at].0;
    }
    let mut lines = Vec::new();
    let mut world = start.clone();
    for (tick, answers) in path.iter().rev().enumerate() {
        let mut chooser = Chooser::replaying(answers);
        let mut passing =
            Tick { scenario, chooser: &mut chooser, world, broken: None, story: Some(vec![format!("tick {tick}")]) };
        passing.run();
        lines.extend(passing.story.take().unwrap_or_default());
        lines.extend(passing.broken.take());
        world = shifted(passing.world);
        let phases = world.processes.iter().map(|process| process.state.as_ref().map(|state| state.phase));
        lines.push(format!("  then {:?}", phases.collect::<Vec<_>>()));
    }
    lines
}
