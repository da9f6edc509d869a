//! Replicas that scale, and fewer accelerators than they want.

use deepseek_testkit::fixtures::node;
use serde_json::json;

use crate::scaling::{pass, replicas, says, scaled_on, two_each};
use crate::stage::{AI, H100, Stage};

/// Where so many accelerators are.
fn with(accelerators: u32) -> Stage {
    let stage = Stage::bare();
    stage.world.put(node("n1").with_gpus(accelerators, H100));
    stage.world.put(node("c1"));
    stage.world.run_deployments();
    stage
}

#[tokio::test(start_paused = true)]
async fn what_no_node_takes_is_taken_back_until_there_is_room() {
    let (stage, _operator) = scaled_on(with(3), two_each()).await;
    stage.engines.traffic.arrive(10);
    pass(30).await;
    assert_eq!(replicas(&stage), 5);
    pass(90).await;
    assert_eq!(replicas(&stage), 3, "{}", stage.log());
    says(&stage, "ScalingLimited=True InsufficientAccelerators");
    says(&stage, "Placed=True Fits");
    stage.until_served("chat").await;
    stage.world.put(node("n2").with_gpus(4, H100));
    pass(60).await;
    assert_eq!(replicas(&stage), 5);
    stage.until_served("chat").await;
    pass(60).await;
    says(&stage, "ScalingLimited=False DesiredWithinRange");
}

#[tokio::test(start_paused = true)]
async fn no_more_accelerators_are_held_than_may_be_not_even_in_a_roll_out() {
    let mut limited = two_each();
    limited["accelerators"] = json!({"max": 3});
    let (stage, _operator) = scaled_on(with(8), limited).await;
    stage.engines.traffic.arrive(14);
    pass(120).await;
    assert_eq!(replicas(&stage), 3);
    says(&stage, "ScalingLimited=True InsufficientAccelerators");
    stage.edit_spec("chat", |spec| spec["model"]["servedNames"] = json!(["r1"]));
    stage.settled().await;
    let deployment = stage.world.object("Deployment", AI, "chat").unwrap();
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"], 0);
    stage.edit_spec("chat", |spec| drop(spec["autoscaling"]["accelerators"].take()));
    pass(120).await;
    assert_eq!(replicas(&stage), 7);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_by_its_path() {
    let mut wrong = two_each();
    wrong["schedules"] = json!([{"start": "07:00", "end": "18:00", "timeZone": "Mars/Olympus", "minReplicas": 2}]);
    let (stage, _operator) = scaled_on(with(3), two_each()).await;
    stage.edit_spec("chat", |spec| spec["autoscaling"] = wrong);
    stage.until("chat", "Accepted=False InvalidValue").await;
    let message = stage.message("chat", "Accepted");
    assert!(message.contains("spec.autoscaling.schedules[0].timeZone: \"Mars/Olympus\""), "{message}");
    assert_eq!(replicas(&stage), 1);
}
