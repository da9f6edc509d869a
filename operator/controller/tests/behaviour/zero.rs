//! No replica runs where nobody asks.

use deepseek_testkit::{Fault, When};
use serde_json::{Value, json};

use crate::scaling::{pass, replicas, says, scaled, told, two_each};
use crate::stage::{AI, Operator, Stage};

fn to_zero() -> Value {
    let mut wanted = two_each();
    wanted["minReplicas"] = json!(0);
    wanted["scaleToZero"] = json!({"idleAfter": "10m", "holdTimeout": "3m"});
    wanted
}

async fn asleep() -> (Stage, Operator) {
    let (stage, operator) = scaled(to_zero()).await;
    stage.engines.traffic.arrive(0);
    pass(590).await;
    assert_eq!(replicas(&stage), 1);
    pass(60).await;
    assert_eq!(replicas(&stage), 0, "{}", stage.log());
    (stage, operator)
}

/// As the issue promises it: somebody waits, and within a second a replica is wanted.
async fn somebody_comes(stage: &Stage) {
    stage.engines.traffic.wait(1);
    pass(1).await;
    assert_eq!(replicas(stage), 1, "{}", stage.log());
}

fn engines(stage: &Stage) -> usize {
    let pods = stage.world.objects("Pod");
    pods.iter().filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == "engine").count()
}

#[tokio::test(start_paused = true)]
async fn where_nobody_asks_none_runs_and_the_first_who_asks_is_served() {
    let (stage, _operator) = asleep().await;
    stage.settled().await;
    assert_eq!(engines(&stage), 0);
    says(&stage, "ScaledToZero=True ScaledToZero");
    says(&stage, "Ready=True ScaledToZero");
    says(&stage, "Available=False ScaledToZero");
    assert!(stage.message("chat", "Ready").contains("the next request starts one"));
    // the window of what was needed before ends
    pass(600).await;
    let mark = stage.world.mark();
    pass(3600).await;
    stage.world.assert_no_writes_since(mark);
    somebody_comes(&stage).await;
    stage.engines.traffic.wait(0);
    stage.until_served("chat").await;
    says(&stage, "ScaledToZero=False NotScaledToZero");
    assert_eq!(told(&stage)["recentDecisions"][0]["to"], 1);
}

#[tokio::test(start_paused = true)]
async fn gateways_are_told_to_hold_requests_for_so_long() {
    let (stage, _operator) = scaled(to_zero()).await;
    let config = stage.world.object("ConfigMap", AI, "chat-gateway").unwrap();
    let config: Value = serde_json::from_str(config["data"]["config.json"].as_str().unwrap()).unwrap();
    assert_eq!(config["hold"]["time"], 180_000);
    let learned = told(&stage)["coldStart"]["p90Seconds"].as_u64().map_or(60_000, |seconds| seconds * 1000);
    assert_eq!(config["hold"]["start"], learned);
}

#[tokio::test(start_paused = true)]
async fn the_next_leader_knows_that_it_sleeps() {
    let (stage, operator) = asleep().await;
    drop(operator);
    pass(120).await;
    let _operator = stage.operator_with_gateways();
    pass(120).await;
    assert_eq!(replicas(&stage), 0);
    somebody_comes(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_crashed_before_it_could_tell_is_made_up_for() {
    let (stage, operator) = scaled(to_zero()).await;
    stage.world.fail(When::verb("patch").through("status").always(), Fault::Drop);
    stage.engines.traffic.arrive(0);
    pass(660).await;
    assert_eq!(replicas(&stage), 0);
    drop(operator);
    stage.world.heal();
    let _operator = stage.operator_with_gateways();
    pass(120).await;
    somebody_comes(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_the_write_it_can_be_woken() {
    use Fault::{Drop, DropAfterApply, Error, ErrorAfterApply};
    for fault in [Error(409), Error(500), Drop, ErrorAfterApply(504), DropAfterApply] {
        let (stage, _operator) = scaled(to_zero()).await;
        let alarm = stage.world.fail(When::verb("patch").through("scale"), fault);
        stage.engines.traffic.arrive(0);
        pass(700).await;
        assert_eq!(replicas(&stage), 0, "{fault:?}");
        assert!(alarm.has_rung(), "{fault:?}");
        somebody_comes(&stage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn zero_by_hand_stays_whoever_asks() {
    let (stage, _operator) = scaled(to_zero()).await;
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(0));
    pass(60).await;
    stage.engines.traffic.wait(1);
    pass(120).await;
    assert_eq!(replicas(&stage), 0);
    says(&stage, "ScalingActive=False ScalingDisabled");
    says(&stage, "Ready=False ScaledToZero");
}

#[tokio::test(start_paused = true)]
async fn without_the_block_it_wakes() {
    let (stage, _operator) = asleep().await;
    stage.edit_spec("chat", |spec| drop(spec.as_object_mut().unwrap().remove("autoscaling")));
    stage.until_served("chat").await;
    assert_eq!(replicas(&stage), 1);
    let gone = |condition: &String| !condition.starts_with("ScaledToZero");
    assert!(stage.conditions("chat").iter().all(gone), "{:?}", stage.conditions("chat"));
}
