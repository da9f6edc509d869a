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

/// A's clock is slow and B's fast, 1.3125 : 1. With the times of the model 1.333 is the bound.
const CLOCKS: [u64; 2] = [960, 1260];

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
    Scenario { links, faults: 2, losses: 1, reads: true, either_first: true, ..Scenario::quiet("lost and late messages") }
}

fn crashes() -> Scenario {
    let links = &[Link::WitnessA, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario { links, cut_off: true, crashes: true, site_loss: true, faults: 3, ..Scenario::quiet("crashes and restarts") }
}

fn votes() -> Scenario {
    let links = &[Link::WitnessA, Link::WitnessB, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario { links, faults: 3, losses: 1, ..Scenario::quiet("acknowledgements") }
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
        faults: 2,
        losses: 1,
        ..Scenario::quiet("handover and switchover")
    }
}

fn replicas() -> Scenario {
    let links = &[Link::WitnessA, Link::Peers, Link::ProbeA, Link::ObserveA];
    Scenario { processes: &[0, 0, 1], links, cut_off: true, reads: true, orders: true, faults: 2, losses: 1, ..Scenario::quiet("two replicas at A") }
}

/// Nobody decides between the two.
fn two_alone(name: &'static str, on_quorum_loss: QuorumLoss) -> Scenario {
    let links = &[Link::Peers, Link::ProbeA, Link::ProbeB];
    Scenario { witness: false, observer: false, on_quorum_loss, links, crashes: true, gates: true, orders: true, faults: 4, losses: 1, ..Scenario::quiet(name) }
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

/// Nothing may be proved by a scenario alone: the rule that is off must be the one that breaks it.
fn without(name: &'static str, change: impl Fn(&mut Rules), scenario: Scenario) -> Scenario {
    let mut rules = Rules::default();
    change(&mut rules);
    Scenario { name, rules, ..scenario }
}

#[test]
fn mutant_no_compare_and_swap() {
    breaks(&Scenario { name: "no compare and swap", compares: false, ..losses() }, "S");
}

#[test]
fn mutant_no_data_plane_proof() {
    breaks(&without("no data-plane proof", |rules| rules.data_plane_proof = false, cuts()), "S4");
}

#[test]
fn mutant_no_watching_after_a_restart() {
    breaks(&without("no watching after a restart", |rules| rules.watch_after_restart = false, crashes()), "S");
}

#[test]
fn mutant_proof_from_the_end() {
    breaks(&without("proof from the end of the request", |rules| rules.proof_from_start = false, slow_links()), "S1w");
}

#[test]
fn mutant_proof_from_the_read_that_showed_it() {
    breaks(&without("proof from the read that showed it", |rules| rules.proof_from_read_before = false, slow_links()), "S1w");
}

#[test]
fn mutant_acknowledgement_without_promise() {
    breaks(&without("acknowledgement without promise", |rules| rules.acknowledgement_promises = false, votes()), "S1w");
}

#[test]
fn mutant_belief_after_a_release() {
    breaks(&without("belief after a release", |rules| rules.release_ends_belief = false, handovers()), "S1w");
}

#[test]
fn mutant_isolated_comes_back_by_a_read() {
    breaks(&without("isolated comes back by a read", |rules| rules.isolated_renews = false, slow_links()), "S1w");
}

#[test]
fn mutant_absence_not_watched() {
    breaks(&without("absence not watched", |rules| rules.absence_is_watched = false, deletions()), "S");
}

#[test]
fn mutant_shared_writes_until_the_deadline() {
    breaks(&without("shared writes until the deadline", |rules| rules.writes_land_in_time = false, slow_links()), "S3");
}

#[test]
fn mutant_nothing_kept() {
    let scenario = Scenario { keeps: false, deletion: true, crashes: true, faults: 5, ..Scenario::quiet("nothing kept") };
    breaks(&scenario, "S");
}

#[test]
fn mutant_release_before_a_write_has_landed() {
    let early = without("release before a write has landed", |rules| rules.release_waits_for_writes = false, handovers());
    breaks(&early, "S3");
}

#[test]
fn mutant_replicas_that_do_not_talk() {
    let scenario = Scenario { siblings: false, links: &[], cut_off: false, faults: 1, losses: 2, ..replicas() };
    breaks(&Scenario { name: "replicas that do not talk", ..scenario }, "S1w");
}

/// A's link to the witness and its gateway come and go, messages are lost and late, B's clock is as fast as it may be.
fn slow_links() -> Scenario {
    let links = &[Link::WitnessA];
    Scenario { links, cut_off: true, faults: 3, losses: 2, reads: true, rates: CLOCKS, ..Scenario::quiet("slow links") }
}
