//! Replicas follow the load.

use std::time::Duration;

use deepseek_testkit::{Fault, When};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stage::{AI, Operator, Stage, chat};

/// Two requests per second for each replica, of which there may be eight.
pub fn two_each() -> Value {
    json!({"maxReplicas": 8, "target": {"requestsPerSecond": "2"}})
}

/// A deployment that scales, served, under a load that is as it should be for one replica.
pub async fn scaled(autoscaling: Value) -> (Stage, Operator) {
    scaled_on(Stage::with_gpus(), autoscaling).await
}

/// The same on a stage that is set.
pub async fn scaled_on(stage: Stage, autoscaling: Value) -> (Stage, Operator) {
    let operator = stage.operator_with_gateways();
    stage.engines.traffic.arrive(1);
    stage.world.put(chat().with("/spec/autoscaling", autoscaling));
    stage.until_served("chat").await;
    pass(60).await;
    (stage, operator)
}

/// The same with five replicas, for ten requests per second.
pub async fn five(autoscaling: Value) -> (Stage, Operator) {
    let (stage, operator) = scaled(autoscaling).await;
    stage.engines.traffic.arrive(10);
    pass(120).await;
    assert_eq!(replicas(&stage), 5, "{}", stage.log());
    (stage, operator)
}

pub async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

fn object(stage: &Stage) -> Value {
    stage.world.object("DeepSeekDeployment", AI, "chat").unwrap()
}

pub fn replicas(stage: &Stage) -> i64 {
    object(stage)["spec"]["replicas"].as_i64().unwrap()
}

/// `status.autoscaling`.
pub fn told(stage: &Stage) -> Value {
    object(stage)["status"]["autoscaling"].clone()
}

/// Whether a deployment says `AbleToScale=True ReadyForNewScale` or the like.
#[track_caller]
pub fn says(stage: &Stage, condition: &str) {
    let said = stage.conditions("chat");
    assert!(said.iter().any(|one| one == condition), "{condition} is not among {said:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_from_one_to_ten_is_met_within_twenty_seconds() {
    let (stage, _operator) = scaled(two_each()).await;
    assert_eq!(replicas(&stage), 1);
    assert_eq!(told(&stage)["targets"], "rps 1/2 (avg)");
    stage.engines.traffic.arrive(10);
    pass(20).await;
    assert_eq!(replicas(&stage), 5);
    pass(90).await;
    stage.until_served("chat").await;
    let status = told(&stage);
    assert_eq!((&status["currentReplicas"], &status["desiredReplicas"]), (&json!(5), &json!(5)));
    assert_eq!(status["targets"], "rps 2/2 (avg)");
    assert_eq!(status["currentMetrics"][0]["external"]["metric"]["name"], "deepseek_requests_per_second");
    assert_eq!(status["currentMetrics"][0]["external"]["current"]["averageValue"], "2");
    let newest = &status["recentDecisions"][0];
    assert_eq!(newest["to"], 5);
    assert!(newest["reason"].as_str().unwrap().contains("above target"), "{newest}");
    assert_eq!(status["lastScaleTime"], newest["time"]);
    assert!(status["coldStart"]["samples"].as_i64() >= Some(4), "{status}");
    says(&stage, "AbleToScale=True ReadyForNewScale");
    says(&stage, "ScalingActive=True ValidMetricFound");
    says(&stage, "ScalingLimited=False DesiredWithinRange");
    let events = stage.world.objects("events.events.k8s.io");
    assert!(events.iter().any(|event| event["reason"] == "SuccessfulRescale"), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_constant_load_writes_nothing() {
    let (stage, _operator) = five(two_each()).await;
    pass(400).await;
    let mark = stage.world.mark();
    pass(1200).await;
    stage.world.assert_no_writes_since(mark);
    assert!(stage.world.requests_since(mark).iter().all(|request| request.is_watch() || request.is_lease()));
}

#[tokio::test(start_paused = true)]
async fn down_goes_a_quarter_a_minute_after_the_window() {
    let (stage, _operator) = five(two_each()).await;
    stage.engines.traffic.arrive(0);
    pass(290).await;
    assert_eq!(replicas(&stage), 5);
    says(&stage, "AbleToScale=True ScaleDownStabilized");
    assert!(told(&stage)["nextScaleDownTime"].is_string());
    pass(80).await;
    assert_eq!(replicas(&stage), 3);
    pass(400).await;
    assert_eq!(replicas(&stage), 1);
    says(&stage, "ScalingLimited=True TooFewReplicas");
}

#[tokio::test(start_paused = true)]
async fn bounds_hold_whatever_the_load_is() {
    let (stage, _operator) = scaled(json!({"minReplicas": 2, "maxReplicas": 3, "target": {"concurrency": "1"}})).await;
    assert_eq!(replicas(&stage), 2, "the least, at once");
    stage.engines.traffic.arrive(900_000);
    pass(120).await;
    assert_eq!(replicas(&stage), 3);
    says(&stage, "ScalingLimited=True TooManyReplicas");
    stage.edit_spec("chat", |spec| spec["autoscaling"]["maxReplicas"] = json!(2));
    pass(10).await;
    assert_eq!(replicas(&stage), 2, "the user's word is no recommendation");
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_ordered_for() {
    for (compensation, expected) in [("Disabled", 2), ("Enabled", 4)] {
        let (stage, _operator) = scaled(json!({
            "maxReplicas": 8, "target": {"requestsPerSecond": "2"}, "coldStart": {"compensation": compensation},
        }))
        .await;
        stage.engines.traffic.arrive(4);
        pass(120).await;
        assert_eq!(replicas(&stage), 2);
        stage.engines.traffic.wait(240);
        pass(12).await;
        // of 240 at most 4 × 30 s have the patience; each replica is seen to end two a second: 120 / (2 × 45 s) = 1.3 more
        assert_eq!(replicas(&stage), expected, "{compensation}");
        assert_eq!(told(&stage)["serviceRate"], "2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_roll_out_takes_nothing_away() {
    let (stage, _operator) = five(two_each()).await;
    stage.world.keep_unready(|pod| pod["metadata"]["annotations"]["deepseek-operator.io/served-names"] == "r1");
    stage.edit_spec("chat", |spec| spec["model"]["servedNames"] = json!(["r1"]));
    stage.engines.traffic.arrive(0);
    pass(1200).await;
    assert_eq!(replicas(&stage), 5);
    says(&stage, "ScalingLimited=True RolloutFreeze");
    stage.engines.traffic.arrive(14);
    pass(60).await;
    assert_eq!(replicas(&stage), 7, "up goes as ever");
    stage.world.let_ready();
    stage.engines.traffic.arrive(0);
    // the new replicas have taken twenty minutes to be ready
    pass(3600).await;
    assert_eq!(replicas(&stage), 1);
}

#[tokio::test(start_paused = true)]
async fn who_pauses_it_is_obeyed() {
    let (stage, _operator) = five(two_each()).await;
    let annotate = |annotations: Value| {
        stage.world.edit("DeepSeekDeployment", AI, "chat", |object| object["metadata"]["annotations"] = annotations)
    };
    annotate(json!({"deepseek-operator.io/autoscaling-paused": "true"}));
    stage.engines.traffic.arrive(14);
    pass(120).await;
    assert_eq!((replicas(&stage), &told(&stage)["desiredReplicas"]), (5, &json!(7)));
    says(&stage, "ScalingActive=False AutoscalingPaused");
    annotate(json!({}));
    pass(10).await;
    assert_eq!(replicas(&stage), 7);
    says(&stage, "ScalingActive=True ValidMetricFound");
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_number_is_left_alone() {
    let external = json!({"mode": "External", "maxReplicas": 8, "target": {"requestsPerSecond": "2"}});
    let (stage, _operator) = scaled(external).await;
    stage.engines.traffic.arrive(10);
    pass(120).await;
    assert_eq!((replicas(&stage), &told(&stage)["desiredReplicas"]), (1, &json!(5)));
    says(&stage, "ScalingActive=False ExternalAutoscaler");
    for number in [3, 4, 2, 6] {
        stage.edit_spec("chat", |spec| spec["replicas"] = json!(number));
        pass(30).await;
        assert_eq!(replicas(&stage), number);
    }
    assert!(stage.conditions("chat").iter().any(|condition| condition.starts_with("AbleToScale=True")));
}

#[tokio::test(start_paused = true)]
async fn zero_by_hand_pauses_and_suspending_does() {
    let (stage, _operator) = five(two_each()).await;
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(0));
    pass(120).await;
    assert_eq!(replicas(&stage), 0);
    says(&stage, "ScalingActive=False ScalingDisabled");
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(1));
    pass(30).await;
    assert_eq!(replicas(&stage), 5);
    stage.edit_spec("chat", |spec| spec["suspend"] = json!(true));
    stage.engines.traffic.arrive(14);
    pass(120).await;
    assert_eq!(replicas(&stage), 5);
    says(&stage, "ScalingActive=False Suspended");
}

#[tokio::test(start_paused = true)]
async fn without_the_block_nothing_is_left_of_it() {
    let (stage, _operator) = five(two_each()).await;
    stage.edit_spec("chat", |spec| drop(spec.as_object_mut().unwrap().remove("autoscaling")));
    stage.engines.traffic.arrive(14);
    stage.settled().await;
    assert_eq!((replicas(&stage), told(&stage)), (5, Value::Null));
    assert!(!stage.conditions("chat").iter().any(|condition| condition.starts_with("Scaling")));
    let mark = stage.world.mark();
    pass(600).await;
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn an_edit_by_hand_is_gone_on_from() {
    let (stage, _operator) = five(two_each()).await;
    pass(400).await;
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(2));
    pass(30).await;
    assert_eq!(replicas(&stage), 5);
    says(&stage, "AbleToScale=True ReadyForNewScale");
}

#[tokio::test(start_paused = true)]
async fn two_who_scale_are_one_too_many() {
    let (stage, _operator) = five(two_each()).await;
    for _ in 0..2 {
        stage.edit_spec("chat", |spec| spec["replicas"] = json!(2));
        pass(20).await;
    }
    says(&stage, "AbleToScale=False ConflictingController");
    assert_eq!(replicas(&stage), 2, "the other one has its way");
    let message = stage.message("chat", "AbleToScale");
    assert!(message.starts_with("kubectl writes spec.replicas, too"), "{message}");
    let events = stage.world.objects("events.events.k8s.io");
    assert_eq!(events.iter().filter(|event| event["reason"] == "ConflictingController").count(), 1);
    pass(540).await;
    assert_eq!(replicas(&stage), 2);
    pass(90).await;
    assert_eq!(replicas(&stage), 5, "nobody else has written for ten minutes");
    says(&stage, "AbleToScale=True ReadyForNewScale");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_not_taken_is_told_and_written_again() {
    let (stage, _operator) = scaled(two_each()).await;
    stage.world.fail(When::verb("patch").through("scale").always(), Fault::Error(403));
    stage.engines.traffic.arrive(10);
    pass(60).await;
    assert_eq!(replicas(&stage), 1);
    says(&stage, "AbleToScale=False FailedUpdateScale");
    let events = stage.world.objects("events.events.k8s.io");
    assert_eq!(events.iter().filter(|event| event["reason"] == "FailedRescale").count(), 1, "it is announced once");
    stage.world.heal();
    pass(10).await;
    assert_eq!(replicas(&stage), 5);
    says(&stage, "AbleToScale=True ReadyForNewScale");
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_a_write_the_number_is_right_in_the_end() {
    use Fault::{Drop, DropAfterApply, Error, ErrorAfterApply};
    for verb in ["get", "patch"] {
        for fault in [Error(409), Error(429), Error(500), Drop, ErrorAfterApply(504), DropAfterApply] {
            let (stage, _operator) = scaled(two_each()).await;
            let alarm = stage.world.fail(When::verb(verb).through("scale"), fault);
            for load in [10, 14] {
                stage.engines.traffic.arrive(load);
                pass(60).await;
                assert_eq!(replicas(&stage), i64::from(load) / 2, "{verb} {fault:?}");
            }
            assert!(alarm.has_rung(), "{verb} {fault:?}");
            assert!(stage.conditions("chat").iter().any(|condition| condition.starts_with("AbleToScale=True")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_by_its_path() {
    let (stage, _operator) = scaled(two_each()).await;
    stage.edit_spec("chat", |spec| {
        spec["autoscaling"] = json!({"minReplicas": 3, "maxReplicas": 2, "target": {"queued": "1"}});
    });
    stage.until("chat", "Accepted=False InvalidValue").await;
    let message = stage.message("chat", "Accepted");
    assert!(message.contains("spec.autoscaling: minReplicas 3 and maxReplicas 2 leave no number"), "{message}");
    pass(30).await;
    says(&stage, "ScalingActive=False Refused");
    assert_eq!(replicas(&stage), 1);
}
