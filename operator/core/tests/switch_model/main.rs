//! Model check of fail-over: two sites with the real `step`, a witness, an observer, cuts, crashes, loss, delay and clocks that differ.
//!
//! Each scenario is explored breadth first until nothing is left, or up to `SWITCH_MODEL_WORLDS` worlds. `SWITCH_MODEL_MORE=1` allows one
//! more fault and one more lost message in each: for a night, and in an optimised build (`CARGO_PROFILE_DEV_OPT_LEVEL=2`). What was
//! explored is printed with `cargo test -p deepseek-core --test switch_model -- --nocapture`.
//!
//! A check that finds nothing proves little. So each rule of the protocol is switched off in turn, and then something must break.

#![allow(clippy::unwrap_used, reason = "a panic is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "how much is explored is a setting of the test")]

mod chooser;
mod faults;
mod invariants;
mod mutants;
mod scenario;
mod search;
mod shift;
mod tick;
mod wire;
mod world;

use deepseek_core::decide::switch::settings::QuorumLoss;

use scenario::{Link, Scenario};
use search::explore;

const WORLDS: usize = 200_000;

/// A's clock is slow and B's fast, 1.3125 : 1. With the times of the model 1.333 is the bound.
const CLOCKS: [u64; 2] = [960, 1260];

const ALL: &[Link] =
    &[Link::WitnessA, Link::WitnessB, Link::Peers, Link::ProbeA, Link::ProbeB, Link::ObserveA, Link::ObserveB];

fn set(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn holds(scenario: &Scenario) {
    let more = u8::try_from(set("SWITCH_MODEL_MORE").unwrap_or(0)).unwrap();
    let losses = scenario.losses + if scenario.losses > 0 { more } else { 0 };
    let scenario = &Scenario { faults: scenario.faults + more, losses, ..*scenario };
    let report = explore(scenario, set("SWITCH_MODEL_WORLDS").unwrap_or(WORLDS), 16);
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

fn cuts() -> Scenario {
    Scenario { links: ALL, cut_off: true, faults: 3, ..Scenario::quiet("cuts in any combination") }
}

/// What may go wrong with messages, at both sites, with the links to the witness coming and going.
fn losses() -> Scenario {
    let links = &[Link::WitnessA, Link::ProbeA, Link::ObserveA];
    Scenario {
        links,
        faults: 2,
        losses: 1,
        reads: true,
        either_first: true,
        ..Scenario::quiet("lost and late messages")
    }
}

fn crashes() -> Scenario {
    let links = &[Link::WitnessA, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario {
        links,
        cut_off: true,
        crashes: true,
        site_loss: true,
        faults: 3,
        ..Scenario::quiet("crashes and restarts")
    }
}

fn votes() -> Scenario {
    let links = &[Link::WitnessA, Link::WitnessB, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario { links, faults: 3, losses: 1, ..Scenario::quiet("acknowledgements") }
}

fn deletions() -> Scenario {
    let links = &[Link::WitnessA, Link::ProbeA, Link::ObserveA];
    Scenario {
        links,
        deletion: true,
        crashes: true,
        faults: 3,
        losses: 1,
        epochs: 3,
        ..Scenario::quiet("the role is deleted")
    }
}

fn handovers() -> Scenario {
    let links = &[Link::WitnessA, Link::WitnessB];
    Scenario { links, gates: true, orders: true, faults: 2, losses: 1, ..Scenario::quiet("handover and switchover") }
}

fn replicas() -> Scenario {
    let links = &[Link::WitnessA, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario {
        processes: &[0, 0, 1],
        links,
        cut_off: true,
        reads: true,
        orders: true,
        faults: 2,
        losses: 1,
        ..Scenario::quiet("two replicas at A")
    }
}

/// Nobody decides between the two.
fn two_alone(name: &'static str, on_quorum_loss: QuorumLoss) -> Scenario {
    let links = &[Link::Peers, Link::ProbeA, Link::ProbeB];
    Scenario {
        witness: false,
        observer: false,
        on_quorum_loss,
        links,
        crashes: true,
        gates: true,
        orders: true,
        faults: 4,
        losses: 1,
        ..Scenario::quiet(name)
    }
}

/// The witness goes, then perhaps a site, and both come back.
fn promotion() -> Scenario {
    let links = &[Link::WitnessA, Link::WitnessB, Link::Peers, Link::ProbeA, Link::ProbeB];
    Scenario {
        observer: false,
        links,
        site_loss: true,
        faults: 4,
        on_quorum_loss: QuorumLoss::Promote,
        ..Scenario::quiet("the witness is lost, Promote")
    }
}

fn with_clocks(name: &'static str, rates: [u64; 2], scenario: Scenario) -> Scenario {
    Scenario { name, rates, ..scenario }
}

/// A's link to the witness and its gateway come and go, messages are lost and late, B's clock is as fast as it may be.
fn slow_links() -> Scenario {
    let links = &[Link::WitnessA];
    Scenario { links, cut_off: true, faults: 3, losses: 2, reads: true, rates: CLOCKS, ..Scenario::quiet("slow links") }
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
    holds(&with_clocks("lost and late messages, B's clock fast", CLOCKS, losses()));
    holds(&with_clocks("lost and late messages, A's clock fast", [1260, 960], losses()));
    holds(&with_clocks("crashes and restarts, B's clock fast", CLOCKS, crashes()));
    holds(&with_clocks("acknowledgements, B's clock fast", CLOCKS, votes()));
}

#[test]
fn two_sites_that_hold() {
    holds(&two_alone("no witness, Hold", QuorumLoss::Hold));
}

#[test]
fn two_sites_that_promote() {
    holds(&two_alone("no witness, Promote", QuorumLoss::Promote));
}

#[test]
fn a_lost_witness() {
    holds(&promotion());
}
