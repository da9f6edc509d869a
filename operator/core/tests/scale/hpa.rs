//! What Kubernetes does: facts from `horizontal_test.go` of v1.37.2 and from runs of the controller, in our own words.

use deepseek_core::decide::scale::input::{Selection, Target};
use deepseek_core::decide::scale::memory::Recommendation;
use deepseek_core::decide::scale::reading::Reading;
use serde_json::json;

use crate::scene::{external, scene, told, total};

#[test]
fn up_at_once_and_down_after_the_window() {
    let mut target = scene(4);
    target.pass();
    assert_eq!(target.reasons(), ["true/ReadyForNewScale", "true/ValidMetricFound", "false/DesiredWithinRange", "-"]);
    target.readings = vec![total(16_000)];
    target.pass();
    assert_eq!(target.replicas, 8);
    assert_eq!(target.reasons()[0], "true/SucceededRescale");
    target.readings = vec![total(4000)];
    let sizes = target.passes(330);
    assert_eq!(sizes[19], 8, "300 s after the last high recommendation: the edge of the window counts");
    assert_eq!(sizes[20], 2);
}

#[test]
fn without_behavior_at_most_twice_as_many_or_four() {
    for (from, to) in [(1, 4), (2, 4), (3, 6), (5, 10)] {
        let decision = scene(from).with(|scene| scene.readings = vec![total(1_000_000)]).decide();
        assert_eq!(decision.desired, to, "from {from}");
        let reason = if to == 10 { "true/TooManyReplicas" } else { "true/ScaleUpLimit" };
        assert_eq!(told(decision.memory.status.conditions.scaling_limited.as_ref()), reason);
    }
}

#[test]
fn outside_of_the_bounds_no_metric_is_asked() {
    let above = scene(12).with(|scene| scene.readings = Vec::new()).decide();
    assert_eq!((above.desired, above.metrics.len()), (10, 0));
    assert_eq!(above.rescale.unwrap().reason, "Current number of replicas above Spec.MaxReplicas");
    let below = scene(2).with(|scene| scene.spec.min_replicas = 3).decide();
    assert_eq!(below.desired, 3);
    assert_eq!(below.rescale.unwrap().reason, "Current number of replicas below Spec.MinReplicas");
}

#[test]
fn a_failed_metric_forbids_going_down_and_nothing_else() {
    let second = |first: i64| {
        scene(4).with(|scene| {
            scene.spec.metrics.push(external(Target::AverageValue(2000)));
            scene.readings = vec![total(first), Reading::failed("down")];
        })
    };
    assert_eq!(second(2000).decide().desired, 4);
    assert_eq!(second(12_000).decide().desired, 6);
    let mut held = second(2000);
    held.pass();
    assert_eq!(held.reasons()[1], "false/FailedGetExternalMetric");
    let message = held.memory.status.conditions.scaling_active.unwrap().message;
    let words =
        "the HPA was unable to compute the replica count: unable to get external metric space/arrivals/nil: down";
    assert_eq!(message, words);
    assert_eq!(held.memory.status.current_metrics.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn after_an_outage_that_is_longer_than_the_window_the_first_number_counts() {
    let mut target = scene(8);
    target.pass();
    target.readings = vec![Reading::failed("down")];
    assert!(target.passes(600).iter().all(|size| *size == 8));
    target.readings = vec![total(4000)];
    target.pass();
    assert_eq!(target.replicas, 2, "nothing was logged meanwhile");
}

#[test]
fn only_what_it_put_to_zero_itself_is_woken() {
    let mut target = scene(2).with(|scene| {
        scene.spec.min_replicas = 0;
        scene.readings = vec![total(0)];
    });
    target.passes(330);
    assert_eq!((target.replicas, target.reasons()[3].as_str()), (0, "true/ScaledToZero"));
    target.readings = vec![total(1)];
    target.pass();
    assert_eq!((target.replicas, target.reasons()[3].as_str()), (1, "false/NotScaledToZero"));
    // put to zero by somebody else
    target.replicas = 0;
    target.readings = vec![total(9000)];
    target.passes(60);
    assert_eq!((target.replicas, target.reasons()[1].as_str()), (0, "false/ScalingDisabled"));
    // and so without the feature, whoever did it
    let mut old = scene(0).with(|scene| {
        scene.spec.min_replicas = 0;
        scene.controller.scale_to_zero = false;
        scene.memory.status.conditions.scaled_to_zero = target.memory.status.conditions.scaled_to_zero.clone();
    });
    old.pass();
    assert_eq!((old.replicas, old.reasons()[3].as_str()), (0, "-"));
}

#[test]
fn a_minimum_that_is_raised_at_zero_is_reached() {
    let mut target = scene(1).with(|scene| {
        scene.spec.min_replicas = 0;
        scene.readings = vec![total(0)];
    });
    target.passes(330);
    assert_eq!(target.replicas, 0);
    target.spec.min_replicas = 2;
    let decision = target.pass();
    assert_eq!((decision.desired, target.replicas), (2, 2));
    assert_eq!(decision.rescale.unwrap().reason, "", "the HPA gives none: it takes the minimum for a limit");
}

#[test]
fn a_minimum_that_is_raised_at_zero_is_the_reason_where_there_is_behavior() {
    let mut target = scene(1).behaving(json!({})).with(|scene| {
        scene.spec.min_replicas = 0;
        scene.readings = vec![total(0)];
    });
    target.passes(330);
    target.spec.min_replicas = 2;
    let decision = target.pass();
    assert_eq!(decision.desired, 2);
    assert_eq!(decision.rescale.unwrap().reason, "Current number of replicas below Spec.MinReplicas");
}

#[test]
fn from_zero_a_lone_percent_policy_allows_nothing() {
    let behavior = json!({ "scaleUp": { "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }] } });
    let mut target = scene(1).behaving(behavior).with(|scene| {
        scene.spec.min_replicas = 0;
        scene.readings = vec![total(0)];
    });
    target.passes(330);
    target.readings = vec![total(9000)];
    target.passes(60);
    assert_eq!((target.replicas, target.reasons()[2].as_str()), (0, "true/ScaleUpLimit"));
}

#[test]
fn policies_count_what_was_changed_within_their_period() {
    let behavior = json!({
        "scaleUp": { "policies": [{ "type": "Pods", "value": 2, "periodSeconds": 60 }] },
        "scaleDown": { "stabilizationWindowSeconds": 0, "selectPolicy": "Min", "policies": [
            { "type": "Pods", "value": 3, "periodSeconds": 30 }, { "type": "Percent", "value": 50, "periodSeconds": 30 }] },
    });
    let mut target = scene(2).behaving(behavior).with(|scene| scene.readings = vec![total(20_000)]);
    assert_eq!(target.passes(135), [4, 4, 4, 4, 6, 6, 6, 6, 8]);
    target.readings = vec![total(0)];
    assert_eq!(target.passes(75), [3, 3, 1, 1, 1], "two that were just added may go at once");
}

#[test]
fn a_direction_can_be_switched_off() {
    let up = scene(4).behaving(json!({ "scaleUp": { "selectPolicy": "Disabled" } }));
    assert_eq!(up.with(|scene| scene.readings = vec![total(20_000)]).decide().desired, 4);
    let down = json!({ "scaleDown": { "selectPolicy": "Disabled", "stabilizationWindowSeconds": 0 } });
    assert_eq!(scene(4).behaving(down).with(|scene| scene.readings = vec![total(0)]).decide().desired, 4);
}

#[test]
fn the_window_up_takes_the_lowest_recommendation() {
    let mut target = scene(2).behaving(json!({ "scaleUp": { "stabilizationWindowSeconds": 60 } }));
    let logged = Recommendation { replicas: 3, at: target.now };
    target.memory.recommendations = Some(vec![logged]);
    target.now += std::time::Duration::from_secs(15);
    target.readings = vec![total(12_000)];
    target.pass();
    assert_eq!(target.replicas, 3);
    let asked = target.decide().stabilised.unwrap();
    assert_eq!((asked.lowest, asked.highest), (3, 6));
    // 60 s after it was logged: the edge does not count here
    target.passes(30);
    assert_eq!(target.replicas, 3);
    target.pass();
    assert_eq!(target.replicas, 6);
}

#[test]
fn a_scale_that_cannot_be_read_or_written_is_said() {
    let mut target = scene(4).with(|scene| scene.scale_error = Some("away"));
    target.pass();
    assert_eq!(target.reasons(), ["false/FailedGetScale", "-", "-", "-"]);
    let mut refused = scene(4).with(|scene| {
        scene.readings = vec![total(16_000)];
        scene.write_error = Some("conflict");
    });
    refused.pass();
    assert_eq!(refused.reasons()[0], "false/FailedUpdateScale");
    assert_eq!(
        (refused.replicas, refused.memory.status.desired_replicas, refused.memory.status.last_scale_time),
        (4, 0, None)
    );
}

#[test]
fn without_pods_of_its_own_nothing_is_decided() {
    let both = "pods by selector a=b are controlled by more than one HPA (e.g. [n/x n/y])";
    for (wrong, reason) in [
        (Selection::Missing, "false/InvalidSelector"),
        (Selection::Invalid("unable to parse".into()), "false/InvalidSelector"),
        (Selection::Ambiguous(both.into()), "false/AmbiguousSelector"),
    ] {
        let mut target = scene(4).with(|scene| {
            scene.readings = vec![total(16_000)];
            scene.selection = Some(wrong);
        });
        target.pass();
        assert_eq!((target.replicas, target.reasons()[1].as_str()), (4, reason));
    }
}
