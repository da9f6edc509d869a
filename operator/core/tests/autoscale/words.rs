//! What the status says.

use deepseek_core::decide::autoscale::told::REASONS;
use deepseek_core::decide::autoscale::{Hold, State, Wrote};
use serde_json::{Value, json};

use crate::world::{PERIOD, World, world};

/// Two requests per second for each replica, of which there may be eight.
fn two_each() -> World {
    world(json!({"maxReplicas": 8, "target": {"requestsPerSecond": "2", "concurrency": "16"}}), 2)
}

#[test]
fn a_step_is_told_with_its_reason() {
    let mut world = two_each();
    world.passes(60, 1);
    assert_eq!(
        world.says(),
        [
            "AbleToScale=True ReadyForNewScale",
            "ScalingActive=True ValidMetricFound",
            "ScalingLimited=False DesiredWithinRange"
        ]
    );
    assert_eq!(world.last().verdicts[0].message, "Recommended size matches current size.");
    world.passes(20, 10);
    assert_eq!(world.replicas, 5);
    let status = &world.last().status;
    let newest = &status.recent_decisions[0];
    assert_eq!((newest.to, &status.last_scale_time), (5, &Some(newest.time.clone())));
    assert!(newest.reason.ends_with(" above target"), "{newest:?}");
    world.passes(70, 10);
    assert_eq!(world.last().status.targets.as_deref(), Some("rps 2/2 (avg), inflight 2/16 (avg)"));
    let metrics = serde_json::to_value(&world.last().status.current_metrics).unwrap();
    assert_eq!(
        metrics[1]["external"],
        json!({"metric": {"name": "deepseek_requests_in_flight"}, "current": {"averageValue": "2"}})
    );
    let message = &world.last().verdicts[1].message;
    assert!(message.starts_with("The autoscaler was able to successfully calculate a replica count from"), "{message}");
}

#[test]
fn many_metrics_are_counted_as_kubectl_counts_them() {
    let target = json!({"requestsPerSecond": "1.5", "concurrency": "3", "queued": "1", "tokensPerSecond": "1500"});
    let mut world = world(json!({"maxReplicas": 3, "target": target}), 1);
    world.passes(60, 2);
    assert_eq!(world.last().status.targets.as_deref(), Some("rps 1/1.5 (avg), inflight 1/3 (avg) + 2 more..."));
    assert_eq!(world.last().status.current_metrics.len(), 4);
}

#[test]
fn what_is_held_is_told_and_what_would_be_done() {
    let mut world = two_each();
    world.passes(60, 1);
    world.paused = true;
    world.passes(60, 10);
    assert_eq!((world.replicas, world.hold.clone()), (1, Some(Hold::Paused)));
    assert_eq!(world.last().status.desired_replicas, 5);
    assert!(world.says().contains(&"ScalingActive=False AutoscalingPaused".to_owned()), "{:?}", world.says());
    world.suspended = true;
    world.passes(60, 10);
    assert!(world.says().contains(&"ScalingActive=False Suspended".to_owned()));
    (world.suspended, world.paused) = (false, false);
    world.passes(30, 10);
    assert_eq!(world.replicas, 5);
}

#[test]
fn a_roll_out_freezes_down_and_names_itself() {
    let mut world = two_each();
    world.passes(120, 10);
    world.revision = "s";
    world.passes(900, 0);
    assert_eq!(world.replicas, 5);
    assert!(world.says().contains(&"ScalingLimited=True RolloutFreeze".to_owned()), "{:?}", world.says());
    world.revision = "r";
    world.passes(900, 0);
    assert_eq!(world.replicas, 1);
}

#[test]
fn before_when_nothing_goes_down_is_told_and_stays_as_it_is() {
    let mut world = two_each();
    world.passes(400, 10);
    assert_eq!(world.last().status.next_scale_down_time, None);
    world.passes(90, 0);
    let next = world.last().status.next_scale_down_time.clone();
    assert!(next.is_some());
    let news = world.news;
    world.passes(180, 0);
    assert_eq!((&world.last().status.next_scale_down_time, world.news), (&next, news));
}

#[test]
fn at_the_least_nothing_waits_to_go_down() {
    let mut world = two_each();
    world.passes(400, 2);
    world.passes(130, 0);
    assert!(world.says().contains(&"AbleToScale=True ScaleDownStabilized".to_owned()), "{:?}", world.says());
    assert_eq!((world.replicas, &world.last().status.next_scale_down_time), (1, &None));
}

#[test]
fn a_write_that_fails_is_told_once() {
    let mut world = two_each();
    world.passes(60, 1);
    world.write = Wrote::Failed("etcd is away".into());
    world.passes(120, 10);
    assert!(world.says().contains(&"AbleToScale=False FailedUpdateScale".to_owned()), "{:?}", world.says());
    let (news, message) = (world.news, world.last().verdicts[0].message.clone());
    assert_eq!(message, "The autoscaler was unable to update the target scale: etcd is away.");
    world.passes(600, 10);
    assert_eq!(world.news, news);
    world.write = Wrote::Taken;
    world.passes(10, 10);
    assert_eq!(world.replicas, 5);
}

#[test]
fn a_successor_knows_what_was_learned_and_not_what_was_recommended() {
    let mut world = two_each();
    world.cold = 90;
    world.passes(600, 10);
    let status = world.last().status.clone();
    let learned = status.cold_start.clone().unwrap();
    assert!((90..=95).contains(&learned.p90_seconds), "{learned:?}");
    world.state = State::inherit(Some(&status));
    world.told = None;
    world.passes(5, 0);
    assert_eq!(world.last().status.recent_decisions, status.recent_decisions);
    assert_eq!(world.last().status.cold_start.as_ref().map(|cold| cold.p90_seconds), Some(learned.p90_seconds));
    world.passes(280, 0);
    assert_eq!(world.replicas, 5, "a whole window");
}

#[test]
fn a_target_that_nobody_serves_is_told_by_the_metric() {
    let mut world = two_each();
    world.passes(60, 1);
    world.silent = vec![1];
    world.passes(60, 1);
    assert!(world.says().contains(&"ScalingActive=False FailedGetExternalMetric".to_owned()), "{:?}", world.says());
    assert!(world.last().verdicts[1].message.ends_with("1 of 2 gateways answer."), "{:?}", world.last().verdicts);
}

/// A condition whose reason the contract does not know would not be told.
#[test]
fn every_reason_has_a_case() {
    let stories: [fn(&mut World); 7] = [
        |world| {
            world.passes(60, 1);
            world.passes(300, 900);
            world.passes(900, 0);
        },
        |world| {
            world.passes(60, 1);
            world.silent = vec![0];
            world.passes(60, 1);
            (world.silent, world.stale) = (Vec::new(), true);
            world.passes(60, 1);
        },
        |world| {
            world.replicas = 0;
            world.passes(60, 1);
        },
        |world| {
            world.paused = true;
            world.passes(60, 1);
            (world.paused, world.wanted.external) = (false, true);
            world.passes(60, 1);
        },
        |world| {
            world.passes(60, 10);
            world.revision = "s";
            world.passes(600, 0);
        },
        |world| {
            world.write = Wrote::Failed("away".into());
            world.passes(60, 10);
        },
        |world| {
            world.passes(60, 10);
            for _ in 0..2 {
                world.replicas = 2;
                world.passes(20, 10);
            }
            assert!(matches!(world.hold, Some(Hold::Rival(None))));
        },
    ];
    let slowly = json!({"maxReplicas": 8, "target": {"queued": "1"}, "behavior": {"scaleUp": {"stabilizationWindowSeconds": 60}}});
    let mut slow = world(slowly, 1);
    slow.passes(60, 0);
    slow.gateways[0].queued = vec![4; slow.gateways[0].queued.len()];
    slow.passes(10, 0);
    let always = json!([{"start": "00:00", "end": "00:00", "minReplicas": 2}]);
    let mut held = world(json!({"maxReplicas": 8, "target": {"queued": "1"}, "schedules": always}), 1);
    held.passes(10, 0);
    let target = json!({"requestsPerSecond": "1"});
    let mut sleepless = world(json!({"minReplicas": 0, "maxReplicas": 8, "target": target, "scaleToZero": {}}), 1);
    sleepless.passes(10, 0);
    sleepless.passes(60, 9);
    let mut reasons = slow.reasons;
    reasons.extend(sleepless.reasons);
    reasons.extend(held.reasons);
    for story in stories {
        let mut world = two_each();
        story(&mut world);
        reasons.extend(world.reasons);
    }
    let untold: Vec<_> = REASONS.iter().filter(|reason| !reasons.contains(reason)).collect();
    assert!(untold.is_empty(), "nothing leads to {untold:?}");
}

#[test]
fn what_no_node_takes_is_taken_back_and_asked_for_again() {
    let mut world = world(json!({"maxReplicas": 8, "target": {"requestsPerSecond": "2"}}), 1);
    world.places = 3;
    world.passes(60, 2);
    world.passes(60, 10);
    assert_eq!(world.replicas, 5);
    world.passes(60, 10);
    assert_eq!(world.replicas, 3);
    assert!(world.says().contains(&"ScalingLimited=True InsufficientAccelerators".to_owned()), "{:?}", world.says());
    world.places = 4;
    let mut waited = 0;
    while world.replicas == 3 {
        world.pass(10);
        waited += PERIOD;
        assert!(waited <= 300, "it is never tried again");
    }
    assert!(world.replicas == 5 && waited > 200, "{} after {waited} s", world.replicas);
    world.passes(70, 10);
    assert_eq!(world.replicas, 4);
    world.places = 5;
    world.passes(700, 10);
    assert_eq!(world.replicas, 5);
    assert!(world.says().contains(&"ScalingLimited=False DesiredWithinRange".to_owned()), "{:?}", world.says());
}

#[test]
fn who_asks_to_wait_waits_and_the_least_is_never_taken_back() {
    for (asked, expected) in [
        (json!({"maxReplicas": 8, "accelerators": {"whenUnschedulable": "Wait"}}), 5),
        (json!({"maxReplicas": 8, "minReplicas": 4}), 4),
    ] {
        let mut asked = asked;
        asked["target"] = json!({"requestsPerSecond": "2"});
        let mut world = world(asked, 1);
        world.places = 3;
        world.passes(300, 10);
        assert_eq!(world.replicas, expected);
    }
}

#[test]
fn a_budget_goes_before_the_load_and_the_least() {
    let mut world = world(
        json!({"maxReplicas": 8, "minReplicas": 4, "target": {"requestsPerSecond": "2"}, "accelerators": {"max": 3}}),
        1,
    );
    world.passes(120, 14);
    assert_eq!(world.replicas, 3);
    assert!(world.says().contains(&"ScalingLimited=True InsufficientAccelerators".to_owned()), "{:?}", world.says());
    let news = world.news;
    world.passes(1200, 14);
    assert_eq!((world.replicas, world.news), (3, news));
}

#[test]
fn a_schedule_raises_the_least_and_lowers_the_most_at_its_hour() {
    // the world begins on 1970-01-12 at 13:46:40
    let schedule = |bounds: Value| {
        let mut schedule = json!({"days": ["Monday"], "start": "14:00", "end": "14:30"});
        schedule.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        json!({"maxReplicas": 8, "target": {"requestsPerSecond": "2"}, "schedules": [schedule]})
    };
    let mut world = world(schedule(json!({"minReplicas": 4})), 1);
    world.passes(780, 1);
    assert_eq!(world.replicas, 1);
    world.passes(60, 1);
    assert_eq!(world.replicas, 4);
    assert!(world.says().contains(&"ScalingLimited=True Scheduled".to_owned()), "{:?}", world.says());
    world.passes(2400, 1);
    assert_eq!(world.replicas, 1);
    let mut world = self::world(schedule(json!({"maxReplicas": 2})), 1);
    world.passes(600, 10);
    assert_eq!(world.replicas, 5);
    world.passes(240, 10);
    assert_eq!(world.replicas, 2);
    assert!(world.says().contains(&"ScalingLimited=True Scheduled".to_owned()), "{:?}", world.says());
}
