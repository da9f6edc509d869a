//! Model check of fail-over: two sites with the real `step`, a witness, an observer, cuts, crashes, loss, delay and clocks that differ.
//!
//! Each scenario is explored breadth first up to a number of worlds, `SWITCH_MODEL_WORLDS` (default below) a scenario; with a large
//! number all of them end by themselves. What is found is printed: `cargo test -p deepseek-core --test switch_model -- --nocapture`.
//!
//! A check that finds nothing proves little. So each rule of the protocol is switched off in turn, and then something must break.

mod chooser;
mod faults;
mod invariants;
mod scenario;
mod search;
mod shift;
mod world;

use deepseek_core::decide::switch::settings::{QuorumLoss, Rules};

use scenario::{Link, Scenario};
use search::explore;

const WORLDS: usize = 20_000;

const WITNESSES: &[Link] = &[Link::WitnessA, Link::WitnessB];
const ALL: &[Link] = &[
    Link::WitnessA,
    Link::WitnessB,
    Link::Peers,
    Link::ProbeA,
    Link::ProbeB,
    Link::ObserveA,
    Link::ObserveB,
];

fn limit() -> usize {
    std::env::var("SWITCH_MODEL_WORLDS").ok().and_then(|worlds| worlds.parse().ok()).unwrap_or(WORLDS)
}

fn holds(scenario: &Scenario) {
    let report = explore(scenario, limit(), 16);
    println!(
        "{}: {} worlds, {} steps, {} ticks deep, {} healed{}",
        scenario.name,
        report.worlds,
        report.steps,
        report.ticks,
        report.quiet,
        if report.complete { ", all" } else { "" }
    );
    if let Some((rule, story)) = report.broken {
        panic!("{}: {rule}\n{}", scenario.name, story.join("\n"));
    }
}

fn breaks(scenario: &Scenario, rule: &str) {
    let report = explore(scenario, 400_000, u64::MAX);
    let (broken, story) = report.broken.unwrap_or_else(|| panic!("{}: nothing breaks in {} worlds", scenario.name, report.worlds));
    println!("{}: {broken} after {} worlds, {} ticks", scenario.name, report.worlds, report.ticks);
    assert!(broken.starts_with(rule), "{}: {broken}\n{}", scenario.name, story.join("\n"));
}

fn cuts() -> Scenario {
    Scenario { links: ALL, cut_off: true, faults: 3, ..Scenario::quiet("cuts in any combination") }
}

/// What may go wrong with messages, at both sites, with the links to the witness coming and going.
fn losses() -> Scenario {
    let links = &[Link::WitnessA, Link::ProbeA, Link::ObserveA];
    Scenario { links, faults: 3, losses: 2, reads: true, either_first: true, ..Scenario::quiet("lost and late messages") }
}

fn crashes() -> Scenario {
    let links = &[Link::WitnessA, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario { links, cut_off: true, crashes: true, site_loss: true, faults: 3, losses: 1, ..Scenario::quiet("crashes and restarts") }
}

fn votes() -> Scenario {
    let links = &[Link::WitnessA, Link::WitnessB, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario { links, faults: 4, losses: 1, either_first: true, ..Scenario::quiet("acknowledgements") }
}

fn deletions() -> Scenario {
    let links = &[Link::WitnessA, Link::ProbeA, Link::ObserveA];
    Scenario { links, deletion: true, crashes: true, faults: 3, losses: 1, epochs: 3, ..Scenario::quiet("the role is deleted") }
}

fn handovers() -> Scenario {
    let links = &[Link::WitnessA, Link::WitnessB];
    Scenario {
        links,
        gates: true,
        orders: true,
        crashes: true,
        faults: 3,
        losses: 2,
        ..Scenario::quiet("handover and switchover")
    }
}

fn replicas() -> Scenario {
    let links = &[Link::WitnessA, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario { processes: &[0, 0, 1], links, cut_off: true, crashes: true, reads: true, faults: 2, losses: 2, ..Scenario::quiet("two replicas at A") }
}

fn with_clocks(name: &'static str, rates: [u64; 2], scenario: Scenario) -> Scenario {
    Scenario { name, rates, ..scenario }
}

#[test]
fn cuts_in_any_combination() {
    holds(&cuts());
}

#[test]
fn lost_and_late_messages() {
    holds(&losses());
}

#[test]
fn crashes_and_restarts() {
    holds(&crashes());
}

#[test]
fn acknowledgements() {
    holds(&votes());
}

#[test]
fn deletion_of_the_role() {
    holds(&deletions());
}

#[test]
fn handover_and_switchover() {
    holds(&handovers());
}

#[test]
fn two_replicas() {
    holds(&replicas());
}

#[test]
fn clocks_that_differ() {
    holds(&with_clocks("B's clock runs 1.3 times as fast", [1000, 1300], losses()));
    holds(&with_clocks("A's clock runs 1.3 times as fast", [1300, 1000], losses()));
    holds(&with_clocks("B's clock runs 1.3 times as fast, crashes", [1000, 1300], crashes()));
}
