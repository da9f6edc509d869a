//! A check that finds nothing proves little: with each rule switched off in turn it must find what that rule prevents.

use deepseek_core::decide::switch::settings::Rules;

use crate::scenario::Scenario;
use crate::search::explore;
use crate::{crashes, cuts, deletions, handovers, losses, replicas, slow_links, votes};

/// With this scenario this invariant breaks, whatever else does.
fn breaks(scenario: &Scenario, rule: &'static str) {
    let scenario = &Scenario { only: rule, ..*scenario };
    let report = explore(scenario, 400_000, u64::MAX);
    let (broken, _) =
        report.broken.unwrap_or_else(|| panic!("{}: nothing breaks in {} worlds", scenario.name, report.worlds));
    println!("{}: {broken} after {} worlds, {} ticks", scenario.name, report.worlds, report.ticks);
}

fn without(name: &'static str, change: impl Fn(&mut Rules), scenario: Scenario) -> Scenario {
    let mut rules = Rules::default();
    change(&mut rules);
    Scenario { name, rules, ..scenario }
}

#[test]
fn no_compare_and_swap() {
    breaks(&Scenario { name: "no compare and swap", compares: false, ..losses() }, "S1w");
}

#[test]
fn no_data_plane_proof() {
    breaks(&without("no data-plane proof", |rules| rules.data_plane_proof = false, cuts()), "S4");
}

#[test]
fn no_watching_after_a_restart() {
    breaks(&without("no watching after a restart", |rules| rules.watch_after_restart = false, crashes()), "S1w");
}

#[test]
fn proof_from_the_end() {
    breaks(&without("proof from the end of the request", |rules| rules.proof_from_start = false, slow_links()), "S1w");
}

#[test]
fn proof_from_the_read_that_showed_it() {
    breaks(
        &without("proof from the read that showed it", |rules| rules.proof_from_read_before = false, slow_links()),
        "S1w",
    );
}

#[test]
fn acknowledgement_without_promise() {
    breaks(&without("acknowledgement without promise", |rules| rules.acknowledgement_promises = false, votes()), "S1w");
}

#[test]
fn belief_after_a_release() {
    breaks(&without("belief after a release", |rules| rules.release_ends_belief = false, handovers()), "S1w");
}

#[test]
fn isolated_comes_back_by_a_read() {
    breaks(&without("isolated comes back by a read", |rules| rules.isolated_renews = false, slow_links()), "S1w");
}

#[test]
fn absence_not_watched() {
    breaks(&without("absence not watched", |rules| rules.absence_is_watched = false, deletions()), "S1w");
}

#[test]
fn shared_writes_until_the_deadline() {
    breaks(&without("shared writes until the deadline", |rules| rules.writes_land_in_time = false, slow_links()), "S3");
}

#[test]
fn nothing_kept() {
    let scenario =
        Scenario { keeps: false, deletion: true, crashes: true, faults: 5, ..Scenario::quiet("nothing kept") };
    breaks(&scenario, "S2");
}

#[test]
fn release_before_a_write_has_landed() {
    let early =
        without("release before a write has landed", |rules| rules.release_waits_for_writes = false, handovers());
    breaks(&early, "S3");
}

#[test]
fn replicas_that_do_not_talk() {
    let scenario = Scenario {
        siblings: false,
        links: &[],
        cut_off: false,
        either_first: true,
        faults: 1,
        losses: 2,
        ..replicas()
    };
    breaks(&Scenario { name: "replicas that do not talk", ..scenario }, "S1w");
}
