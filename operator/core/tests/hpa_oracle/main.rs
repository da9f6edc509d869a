//! Our decisions beside those of the HPA controller itself: `make test-hpa-oracle SCENARIOS=10000`.
//!
//! proptest writes scenarios; the unmodified controller plays them in virtual time (`e2e/hpa-oracle`), and every pass of it is decided
//! again here, from the same world, without guards. What is compared: the replicas that are written, all of the status but transition
//! times, and the conditions with their messages. A difference is shrunk, printed as JSON that the oracle reads, and fails.
//!
//! Left out, since they are not what an autoscaler decides with: numbers at which Go's conversions depend on the processor, two HPAs on
//! the same Pods (which needs two), and the order in which messages name Pods.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "programs and numbers are named by the environment")]

mod oracle;
mod replay;
mod scenario;
mod strategy;

use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use oracle::Oracle;
use scenario::Scenario;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
#[ignore = "needs HPA_ORACLE, the controller of Kubernetes: make test-hpa-oracle"]
fn every_decision_is_that_of_the_controller() {
    let program = std::env::var("HPA_ORACLE").expect("HPA_ORACLE names the program that make test-hpa-oracle builds");
    let (scenarios, seed, jobs) = (setting("SCENARIOS", 1000), setting("SEED", 1), setting("JOBS", 1).max(1));
    let found: Vec<_> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..jobs)
            .map(|job| {
                let (share, program) = (scenarios / jobs + u64::from(job < scenarios % jobs), &program);
                scope.spawn(move || play(program, share, seed.wrapping_mul(1000).wrapping_add(job)))
            })
            .collect();
        parts.into_iter().map(|part| part.join().expect("it did not panic")).collect()
    });
    let mut all = Tally::new();
    for (what, times) in found.iter().flatten().flatten() {
        *all.entry(what.clone()).or_default() += times;
    }
    let differences: Vec<_> = found.into_iter().filter_map(Result::err).collect();
    for (what, times) in &all {
        println!("{times:>9} {what}");
    }
    println!("{scenarios} scenarios, {} differences (SEED={seed})", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// How often something was seen in passes of the controller.
type Tally = BTreeMap<String, usize>;

/// Plays so many scenarios; what was seen, or the smallest difference.
fn play(program: &str, scenarios: u64, seed: u64) -> Result<Tally, String> {
    let config = Config {
        cases: u32::try_from(scenarios).expect("so many fit"),
        failure_persistence: None,
        max_shrink_iters: 5000,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let oracle = std::cell::RefCell::new(Oracle::start(program));
    let tally = std::cell::RefCell::new(Tally::new());
    let compare = |scenario: Scenario| {
        let theirs = oracle.borrow_mut().play(&scenario).map_err(TestCaseError::fail)?;
        for what in theirs.iter().flat_map(replay::told) {
            *tally.borrow_mut().entry(what).or_default() += 1;
        }
        replay::compare(&scenario, &theirs).map_err(TestCaseError::fail)
    };
    match TestRunner::new(config).run(&strategy::scenarios(), compare) {
        Ok(()) => Ok(tally.take()),
        Err(TestError::Fail(difference, scenario)) => {
            Err(format!("{difference}\nin the scenario\n{}", serde_json::to_string(&scenario).unwrap()))
        }
        Err(TestError::Abort(why)) => Err(format!("given up: {why}")),
    }
}
