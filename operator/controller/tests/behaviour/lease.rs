//! One leads, never two.

use std::time::Duration;

use deepseek_testkit::{Fault, When, World};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::stage::{AI, Operator, SYSTEM, Stage, chat};

const STEP: Duration = Duration::from_millis(100);

fn lease(world: &World) -> Value {
    world.object("Lease", SYSTEM, "operator").unwrap_or_default()
}

/// Who holds the lease: the name that its operator was started under.
fn holder(world: &World) -> String {
    let identity = lease(world)["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    identity.split('_').next().unwrap_or_default().to_owned()
}

/// Two operators, of which the first one leads.
async fn two() -> (Stage, Operator, Operator) {
    let stage = Stage::with_gpus();
    let first = stage.operator_as("first");
    stage.world.put(chat());
    stage.until_served("chat").await;
    let second = stage.operator_as("second");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(holder(&stage.world), "first");
    // from here on only the two operators act
    stage.world.run_on_command();
    (stage, first, second)
}

/// Waits for the next renewal, and returns the moment.
async fn renewal(world: &World) -> Instant {
    let before = lease(world)["metadata"]["resourceVersion"].clone();
    world.eventually("a renewal", |world| lease(world)["metadata"]["resourceVersion"] != before).await;
    Instant::now()
}

async fn taken_by(world: &World, name: &str) -> Instant {
    world.eventually(name, |world| holder(world) == name).await;
    Instant::now()
}

/// Gives whoever leads something to write at any moment, for so long; tells when each of them tried to.
async fn restless(stage: &Stage, span: Duration) -> Vec<(Instant, String)> {
    let (end, mut tries) = (Instant::now() + span, Vec::new());
    while Instant::now() < end {
        if stage.world.object("Service", AI, "chat").is_some() {
            stage.world.remove("Service", AI, "chat");
        }
        let mark = stage.world.mark();
        sleep(STEP).await;
        tries.extend(stage.world.writes_since(mark).into_iter().map(|record| (Instant::now(), record.user)));
    }
    tries
}

/// Whoever has begun to write is the only one from then on.
fn assert_one_after_another(tries: &[(Instant, String)]) {
    let mut order: Vec<&str> = tries.iter().map(|(_, user)| user.as_str()).collect();
    order.dedup();
    assert!(order.len() <= 2, "they write in turns: {order:?}");
}

fn of<'a>(tries: &'a [(Instant, String)], user: &'a str) -> impl DoubleEndedIterator<Item = Instant> + 'a {
    tries.iter().filter(move |(_, who)| who == user).map(|(at, _)| *at)
}

#[tokio::test(start_paused = true)]
async fn of_two_only_one_writes() {
    let (stage, _first, _second) = two().await;
    let tries = restless(&stage, Duration::from_secs(30)).await;
    assert!(of(&tries, "first").count() > 50);
    assert_eq!(of(&tries, "second").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_within_a_second() {
    let (stage, first, _second) = two().await;
    let began = Instant::now();
    first.stop().await;
    let taken = taken_by(&stage.world, "second").await - began;
    assert!(taken <= Duration::from_millis(1100), "{taken:?}");
    assert_eq!(lease(&stage.world)["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_leader_is_followed_after_its_lease() {
    let (stage, first, _second) = two().await;
    let renewed = renewal(&stage.world).await;
    first.crash().await;
    let taken = taken_by(&stage.world, "second").await - renewed;
    assert!((Duration::from_secs(6)..=Duration::from_secs(8)).contains(&taken), "{taken:?}");
    stage.world.remove("Service", AI, "chat");
    stage.world.eventually("a Service", |world| world.object("Service", AI, "chat").is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_its_lease_stops_writing_before_another_begins() {
    for fault in
        [Fault::Error(500), Fault::Error(409), Fault::Drop, Fault::Hang, Fault::DropAfterApply, Fault::HangAfterApply]
    {
        let (stage, _first, _second) = two().await;
        let renewed = renewal(&stage.world).await;
        // it can still write everything else: only its own clock keeps it from doing so
        stage.world.fail(When::any().of("leases").by("first").always(), fault);
        let tries = restless(&stage, Duration::from_secs(12)).await;
        assert_one_after_another(&tries);
        let last = of(&tries, "first").next_back().unwrap() - renewed;
        assert!(last <= Duration::from_secs(4) + 2 * STEP, "{fault:?}: written {last:?} after the last renewal");
        let begun = of(&tries, "second").next();
        let applied = matches!(fault, Fault::DropAfterApply | Fault::HangAfterApply);
        let Some(begun) = begun else {
            assert!(applied, "{fault:?}: nobody follows");
            continue;
        };
        assert!(begun - renewed >= Duration::from_secs(6), "{fault:?}: followed after {:?}", begun - renewed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_is_followed_and_comes_back_as_second() {
    let (stage, _first, _second) = two().await;
    stage.world.fail(When::any().by("first").always(), Fault::Drop);
    taken_by(&stage.world, "second").await;
    stage.world.heal();
    let tries = restless(&stage, Duration::from_secs(30)).await;
    assert_eq!(of(&tries, "first").count(), 0);
    assert!(of(&tries, "second").count() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_makes_no_two_leaders() {
    for delay in [0, 250, 500, 750] {
        let (stage, _first, _second) = two().await;
        sleep(Duration::from_millis(delay)).await;
        stage.world.remove("Lease", SYSTEM, "operator");
        let tries = restless(&stage, Duration::from_secs(12)).await;
        assert_one_after_another(&tries);
        assert!(!tries.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_by_force_is_respected() {
    let (stage, _first, _second) = two().await;
    stage.world.edit("Lease", SYSTEM, "operator", |lease| lease["spec"]["holderIdentity"] = json!("somebody"));
    let began = Instant::now();
    let tries = restless(&stage, Duration::from_secs(12)).await;
    let in_between = |at: Instant| {
        let after = at - began;
        after > Duration::from_secs(1) + 2 * STEP && after < Duration::from_secs(6)
    };
    assert!(!tries.iter().any(|(at, _)| in_between(*at)), "somebody else's lease lasts six seconds");
    assert!(tries.iter().any(|(at, _)| *at - began > Duration::from_secs(6)), "and then it has run out");
}

#[tokio::test(start_paused = true)]
async fn a_note_on_the_lease_hardly_interrupts_the_leader() {
    let (stage, _first, _second) = two().await;
    let began = Instant::now();
    stage.world.edit("Lease", SYSTEM, "operator", |lease| lease["metadata"]["annotations"] = json!({"seen": "yes"}));
    let tries = restless(&stage, Duration::from_secs(12)).await;
    assert_eq!(of(&tries, "second").count(), 0);
    let mut moments: Vec<Instant> = of(&tries, "first").collect();
    moments.insert(0, began);
    let longest = moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= Duration::from_millis(1500), "no write for {longest:?}");
}
