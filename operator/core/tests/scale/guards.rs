//! Where we differ from the HPA.

use std::time::Duration;

use deepseek_core::decide::scale::forecast::Load;
use deepseek_core::decide::scale::guards::{Freeze, Guards, Limits, Validity};
use deepseek_core::decide::scale::input::Target;
use deepseek_core::decide::scale::reading::{Heard, Reading};
use serde_json::json;

use crate::scene::{Scene, external, pods, scene, total};

const VALIDITY: Validity = Validity { stale_after: Duration::from_secs(30) };

fn guarded(replicas: i32, guards: Guards) -> Scene {
    scene(replicas).with(|scene| scene.guards = guards)
}

fn limited(replicas: i32, limits: Limits) -> Scene {
    guarded(replicas, Guards { limits, ..Guards::default() })
}

#[test]
fn what_is_old_or_negative_or_half_is_no_number() {
    let guards = Guards { validity: Some(VALIDITY), ..Guards::default() };
    let with = |reading| guarded(8, guards.clone()).with(|scene| scene.readings = vec![reading]);
    let old = |seconds: u64| Reading { taken: Some(Duration::from_secs(1_000_000 - seconds)), ..total(2000) };
    let heard = |from, of, milli| Reading { heard: Some(Heard { from, of }), ..total(milli) };
    for (reading, reason) in [
        (old(31), "false/StaleMetrics"),
        (total(-1), "false/FailedGetExternalMetric"),
        (heard(1, 2, 2000), "false/FailedGetExternalMetric"),
        (heard(0, 2, 2000), "false/FailedGetExternalMetric"),
        (heard(0, 0, 2000), "false/FailedGetExternalMetric"),
    ] {
        let mut target = with(reading.clone());
        target.pass();
        assert_eq!(target.reasons()[1], reason, "{reading:?}");
        assert!(target.passes(900).iter().all(|size| *size == 8), "never down");
    }
    for reading in [old(30), heard(2, 2, 0)] {
        let mut target = with(reading.clone());
        target.pass();
        assert_eq!(target.reasons()[1], "true/ValidMetricFound", "{reading:?}");
    }
    assert_eq!(with(heard(1, 2, 20_000)).decide().desired, 10, "what is heard of a sum may raise");
    assert_eq!(guarded(8, Guards::default()).with(|scene| scene.readings = vec![old(9000)]).decide().metrics.len(), 1);
}

#[test]
fn lost_replicas_under_load_are_no_reason_to_shrink() {
    let lost = |count_ordered| {
        guarded(8, Guards { count_ordered, ..Guards::default() }).with(|scene| {
            scene.spec.max_replicas = 20;
            scene.spec.metrics = vec![external(Target::Value(10_000))];
            scene.pods = pods(8, 2);
            scene.readings = vec![total(19_000)];
        })
    };
    assert_eq!(lost(false).passes(400).last(), Some(&4), "the HPA shrinks");
    assert_eq!(lost(true).pass().desired, 16);
    let average = guarded(8, Guards { count_ordered: true, ..Guards::default() }).with(|scene| scene.status = Some(2));
    assert_eq!(average.decide().desired, 8, "and what is accepted late holds nothing back");
}

#[test]
fn our_own_behaviour_goes_down_a_quarter_a_minute() {
    let mut target = guarded(10, Guards { our_behavior: true, ..Guards::default() });
    target.readings = vec![total(0)];
    let sizes = target.passes(420);
    assert_eq!((sizes[19], sizes[20], sizes[24]), (10, 7, 5), "{sizes:?}");
    let within = |milli| {
        guarded(10, Guards { our_behavior: true, ..Guards::default() })
            .with(|scene| scene.readings = vec![total(milli)])
    };
    assert_eq!(within(17_000).decide().stabilised.unwrap().asked, 10, "15 per cent below are nothing");
    assert_eq!(within(21_001).decide().stabilised.unwrap().asked, 11, "5 per cent above are something");
    let theirs = within(0).behaving(json!({ "scaleDown": { "stabilizationWindowSeconds": 0 } }));
    assert_eq!(theirs.decide().desired, 1, "what a user says is taken to the letter");
}

#[test]
fn the_window_down_is_two_cold_starts() {
    let cold = Guards { cold_start: Some(Duration::from_secs(400)), ..Guards::default() };
    let mut target = guarded(8, cold.clone());
    target.pass();
    target.readings = vec![total(4000)];
    let sizes = target.passes(840);
    assert_eq!((sizes[52], sizes[53]), (8, 2), "{sizes:?}");
    let short = Guards { cold_start: Some(Duration::from_secs(10)), ..Guards::default() };
    let mut target = guarded(8, short);
    target.pass();
    target.readings = vec![total(4000)];
    assert_eq!(target.passes(315).last(), Some(&2), "never less than without");
    let mut written = guarded(8, cold).behaving(json!({ "scaleDown": { "stabilizationWindowSeconds": 30 } }));
    written.pass();
    written.readings = vec![total(4000)];
    assert_eq!(written.passes(45).last(), Some(&2), "a window that is written is kept");
}

#[test]
fn after_an_outage_nothing_goes_down_for_a_window() {
    let mut target = guarded(8, Guards { outage: true, ..Guards::default() });
    target.pass();
    target.readings = vec![Reading::failed("down")];
    target.passes(1200);
    target.readings = vec![total(4000)];
    let sizes = target.passes(330);
    assert_eq!((sizes[18], sizes[19], sizes[20]), (8, 8, 2), "{sizes:?}");
}

#[test]
fn a_forecast_raises_and_names_itself() {
    let load = Load {
        target: 2.0,
        mean_60s: 8.0,
        mean_15s: 8.0,
        queued: 600.0,
        patience: Duration::from_secs(120),
        ready: 4,
        cold_start: Duration::from_secs(60),
        ..Load::default()
    };
    let mut target = guarded(4, Guards { forecast: Some(load), ..Guards::default() });
    let decision = target.pass();
    assert!(decision.desired > 4);
    let message = target.memory.status.conditions.scaling_active.unwrap().message;
    assert_eq!(message, "the HPA was able to successfully calculate a replica count from the forecast");
    assert!(decision.forecast.unwrap().backlog > 0.0);
}

#[test]
fn limits_name_themselves_and_the_last_one_wins() {
    let all =
        Limits { frozen: None, schedule: Some((3, 9)), failover_floor: Some(7), budget: Some(6), schedulable: Some(5) };
    let mut target = limited(4, all).with(|scene| scene.readings = vec![total(0)]);
    target.memory.recommendations = Some(Vec::new());
    let decision = target.pass();
    let names: Vec<_> = decision.limited_by.iter().map(|limit| (limit.by, limit.to)).collect();
    let expected =
        [("Scheduled", 3), ("FailoverFloor", 7), ("InsufficientAccelerators", 6), ("InsufficientAccelerators", 5)];
    assert_eq!(names, expected);
    assert_eq!(target.reasons()[2], "true/InsufficientAccelerators");
    let floor = limited(4, Limits { failover_floor: Some(99), ..Limits::default() }).decide();
    assert_eq!(floor.desired, 10, "no floor is above the maximum");
}

#[test]
fn a_freeze_stops_going_down_and_only_that() {
    for (freeze, reason) in [(Freeze::Rollout, "true/RolloutFreeze"), (Freeze::Failover, "true/FailoverFreeze")] {
        let mut target = limited(4, Limits { frozen: Some(freeze), ..Limits::default() });
        target.memory.recommendations = Some(Vec::new());
        target.readings = vec![total(0)];
        target.pass();
        assert_eq!((target.replicas, target.reasons()[2].as_str()), (4, reason));
        target.readings = vec![total(12_000)];
        target.pass();
        assert_eq!(target.replicas, 6);
        target.spec.max_replicas = 3;
        target.pass();
        assert_eq!(target.replicas, 3, "what the user wants is done");
    }
}

#[test]
fn floors_and_budgets_hold_without_metrics() {
    let blind = |limits| limited(4, limits).with(|scene| scene.readings = Vec::new());
    let floor = blind(Limits { failover_floor: Some(6), ..Limits::default() }).decide();
    assert_eq!((floor.desired, floor.rescale.unwrap().reason.as_str()), (6, "Metrics are unknown"));
    assert_eq!(blind(Limits { budget: Some(2), ..Limits::default() }).decide().desired, 2);
    assert_eq!(blind(Limits { budget: Some(-2), ..Limits::default() }).decide().desired, 0);
}
