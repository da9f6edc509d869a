//! Runs the scenarios in their order and counts.

use std::time::Duration;

use anyhow::Result;
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, timeout};

use crate::options::Options;
use crate::progress::{say, telling};
use crate::scenarios::{Offer, Phase, Scenario, missing, phases};
use crate::world::World;

/// No scenario takes longer; all waits within have limits of their own.
const LIMIT: Duration = Duration::from_secs(300);

/// Characters of an error that are shown.
const LONGEST: usize = 1500;

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Runs what the flags ask for; true when all of it went well. The last line that is printed counts.
pub async fn run(options: Options) -> bool {
    let phases = chosen(&options);
    if options.list {
        for scenario in phases.iter().flatten().flatten() {
            println!("{:<20} {}", scenario.name, scenario.story);
        }
        return true;
    }
    let start = Instant::now();
    let mut tally = Tally::default();
    if phases.iter().flatten().flatten().next().is_none() {
        tally.failed_early(&format!("no scenario has {:?} in its name; --list prints all names", options.only));
    } else {
        match World::new(options).await {
            Ok(world) => in_world(&world, phases, &mut tally).await,
            Err(error) => tally.failed_early(&format!("{error:#}")),
        }
    }
    say(format_args!("all of it took {:.0} s", start.elapsed().as_secs_f64()));
    tally.conclude()
}

async fn in_world(world: &World, phases: Vec<Phase>, tally: &mut Tally) {
    tokio::select! {
        () = all(world, phases, tally) => {}
        _ = tokio::signal::ctrl_c() => tally.failed_early("interrupted"),
    }
    if let Err(error) = clear_away(world).await {
        tally.add("nothing-is-left", Duration::ZERO, &Ended::Failed(format!("{error:#}")));
    }
}

async fn all(world: &World, phases: Vec<Phase>, tally: &mut Tally) {
    let start = Instant::now();
    if world.operator.is_ours() {
        let installed = world.operator.install().await;
        let result = installed.map_or_else(|error| Ended::Failed(format!("{error:#}")), |()| Ended::Passed);
        tally.add("install", start.elapsed(), &result);
        if !matches!(result, Ended::Passed) {
            return;
        }
    }
    for phase in phases {
        let lanes = phase.into_iter().map(|lane| stream::iter(lane).then(|scenario| one(world, scenario)).boxed());
        let mut done = stream::select_all(lanes);
        while let Some((name, took, result)) = done.next().await {
            tally.add(name, took, &result);
            for part in world.left_out() {
                tally.add(&part.name, Duration::ZERO, &Ended::Skipped(part.why.to_owned()));
            }
        }
    }
}

enum Ended {
    Passed,
    Failed(String),
    Skipped(String),
}

async fn one(world: &World, scenario: Scenario) -> (&'static str, Duration, Ended) {
    let start = Instant::now();
    let result = match missing(scenario.needs, &Offer::of(world)) {
        Some(why) => Ended::Skipped(why.to_owned()),
        None => match timeout(LIMIT, telling(scenario.name, tell(world, &scenario))).await {
            Ok(Ok(())) => Ended::Passed,
            Ok(Err(error)) => Ended::Failed(format!("{error:#}")),
            Err(_) => Ended::Failed(format!("not done within {} s", LIMIT.as_secs())),
        },
    };
    (scenario.name, start.elapsed(), result)
}

/// In a namespace of its own, which is deleted afterwards; nobody waits for that while a lab will end anyway. What failed stays
/// as it is when the lab is kept.
async fn tell(world: &World, scenario: &Scenario) -> Result<()> {
    let namespace = world.namespace(scenario.name).await?;
    let told = (scenario.run)(namespace.clone()).await;
    if told.is_err() {
        world.operator.tell_complaints().await;
    }
    if told.is_err() && world.options.keep {
        return told;
    }
    let deleted = namespace.delete().await;
    told.and(deleted)?;
    if world.cluster.lab().is_none() { namespace.is_gone().await } else { Ok(()) }
}

/// Takes away what we installed, and the lab.
async fn clear_away(world: &World) -> Result<()> {
    match world.cluster.lab() {
        Some(lab) => lab.stop().await,
        None if world.operator.is_ours() => world.operator.uninstall().await,
        None => Ok(()),
    }
}

fn chosen(options: &Options) -> Vec<Phase> {
    let wanted = |s: &Scenario| options.only.is_empty() || options.only.iter().any(|text| s.name.contains(text));
    let lane = |lane: Vec<Scenario>| lane.into_iter().filter(wanted).collect::<Vec<_>>();
    phases().into_iter().map(|phase| phase.into_iter().map(lane).collect()).collect()
}

impl Tally {
    fn add(&mut self, name: &str, took: Duration, result: &Ended) {
        match result {
            Ended::Passed => {
                self.passed += 1;
                println!("ok {name} ({:.1} s)", took.as_secs_f64());
            }
            Ended::Failed(why) => {
                self.failed += 1;
                println!("FAILED {name}: {}", shortened(why));
            }
            Ended::Skipped(why) => {
                self.skipped += 1;
                println!("skipped {name}: {why}");
            }
        }
    }

    fn failed_early(&mut self, why: &str) {
        self.add("the run", Duration::ZERO, &Ended::Failed(why.to_owned()));
    }

    /// Prints the last line; true when all went well. In CI every scenario must run.
    fn conclude(&self) -> bool {
        let Self { passed, failed, skipped } = *self;
        let skips = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        println!("{passed} passed, {failed} failed{skips}");
        failed == 0 && passed > 0 && (skipped == 0 || std::env::var_os("CI").is_none())
    }
}

/// The beginning of a long text: an error that repeats whole objects helps nobody.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}
