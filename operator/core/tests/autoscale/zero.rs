//! Nobody asks, and then somebody does.

use deepseek_core::decide::autoscale::{State, Wrote};
use serde_json::json;

use crate::world::{World, world};

/// No replica after ten minutes in which nobody asks.
fn sleeper() -> World {
    let target = json!({"requestsPerSecond": "2"});
    world(json!({"minReplicas": 0, "maxReplicas": 8, "target": target, "scaleToZero": {"idleAfter": "10m"}}), 2)
}

/// The same, without a replica because nobody asks.
fn asleep() -> World {
    let mut world = sleeper();
    world.passes(60, 1);
    world.passes(900, 0);
    assert_eq!(world.replicas, 0);
    world
}

fn says(world: &World, condition: &str) -> bool {
    world.says().iter().any(|said| said == condition)
}

#[test]
fn none_runs_when_nobody_has_asked_for_long_enough() {
    let mut world = sleeper();
    world.passes(120, 4);
    assert_eq!(world.replicas, 2);
    world.passes(590, 0);
    assert_eq!(world.replicas, 1, "one waits for whoever comes");
    assert!(says(&world, "ScaledToZero=False NotScaledToZero"), "{:?}", world.says());
    world.passes(20, 0);
    assert_eq!(world.replicas, 0);
    assert!(says(&world, "ScaledToZero=True ScaledToZero") && world.last().is_asleep(), "{:?}", world.says());
    let news = world.news;
    world.passes(7200, 0);
    // once, that the window down is over
    assert!(world.replicas == 0 && world.news <= news + 1, "{} more", world.news - news);
}

#[test]
fn one_request_now_and_then_keeps_one_replica() {
    let mut world = sleeper();
    for _ in 0..12 {
        world.passes(5, 1);
        world.passes(580, 0);
        assert_eq!(world.replicas, 1);
    }
}

#[test]
fn who_waits_wakes_it_in_the_next_pass() {
    let mut world = asleep();
    world.waiting = 1;
    world.pass(0);
    assert_eq!(world.replicas, 1);
    assert!(says(&world, "ScaledToZero=False NotScaledToZero"), "{:?}", world.says());
    world.waiting = 0;
    world.passes(300, 8);
    assert_eq!(world.replicas, 4, "it goes on from there");
}

#[test]
fn who_has_come_and_gone_wakes_it_too() {
    let mut world = asleep();
    world.pass(1);
    assert_eq!(world.replicas, 1);
}

#[test]
fn zero_by_hand_is_nobodys_sleep() {
    let mut world = sleeper();
    world.passes(60, 1);
    world.replicas = 0;
    world.waiting = 9;
    world.passes(600, 9);
    assert_eq!(world.replicas, 0);
    assert!(says(&world, "ScalingActive=False ScalingDisabled"), "{:?}", world.says());
}

#[test]
fn a_successor_wakes_it_as_well() {
    let mut world = asleep();
    world.state = State::inherit(Some(&world.last().status)).asleep(true);
    world.passes(600, 0);
    assert_eq!(world.replicas, 0);
    world.waiting = 1;
    world.pass(0);
    assert_eq!(world.replicas, 1);
}

#[test]
fn a_write_that_seemed_to_fail_and_did_not_can_be_woken_from() {
    let mut world = sleeper();
    world.passes(60, 1);
    world.passes(500, 0);
    world.write = Wrote::Failed("the connection broke".into());
    world.passes(200, 0);
    assert_eq!(world.replicas, 1);
    world.replicas = 0;
    world.write = Wrote::Taken;
    world.passes(60, 0);
    world.waiting = 1;
    world.pass(0);
    assert_eq!(world.replicas, 1, "{:?}", world.says());
}

#[test]
fn suspending_and_raising_the_least_end_the_sleep() {
    let mut world = asleep();
    world.suspended = true;
    world.passes(600, 0);
    world.suspended = false;
    world.waiting = 1;
    world.passes(10, 0);
    assert_eq!(world.replicas, 1, "it was asleep before");
    let mut world = asleep();
    (world.wanted.zero, world.wanted.spec.min_replicas) = (None, 2);
    world.passes(10, 0);
    assert_eq!(world.replicas, 2);
}

#[test]
fn silence_of_a_gateway_is_not_silence_of_clients() {
    let mut world = sleeper();
    world.passes(60, 1);
    world.silent = vec![1];
    world.passes(3600, 0);
    assert_eq!(world.replicas, 1);
    world.silent.clear();
    world.passes(1200, 0);
    assert_eq!(world.replicas, 0);
}

#[test]
fn who_loads_for_longer_than_anybody_waits_is_not_taken_away() {
    let target = json!({"requestsPerSecond": "2"});
    let mut world =
        world(json!({"minReplicas": 0, "maxReplicas": 8, "target": target, "scaleToZero": {"idleAfter": "1m"}}), 1);
    world.cold = 900;
    world.passes(900, 0);
    assert_eq!(world.replicas, 1);
    world.passes(120, 0);
    assert_eq!(world.replicas, 0);
}
