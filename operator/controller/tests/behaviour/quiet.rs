//! Nothing is written when nothing has changed.

use std::time::Duration;

use deepseek_testkit::fixtures::{claim, deepseek};

use serde_json::json;

use crate::stage::{AI, Operator, Stage};

/// Three deployments of all sorts, served.
async fn served() -> (Stage, Operator) {
    let stage = Stage::with_gpus();
    let operator = stage.operator();
    stage.world.put(claim("weights").within(AI).bound());
    let odd = json!({"cpu": "0.5", "memory": "2048Mi", "sharedMemory": "1024Mi"});
    stage.world.put(deepseek("plain").within(AI).on_processors().with_replicas(2).with("/spec/resources", odd));
    stage.world.put(deepseek("file").within(AI).loaded_from_claim("weights", "r1.gguf").on_exactly(2, "nvidia-h100"));
    stage.world.put(deepseek("image").within(AI).loaded_from_image("example.org/r1:1", "r1.gguf"));
    for name in ["plain", "file", "image"] {
        stage.until(name, "Ready=True AllReplicasAnswer").await;
    }
    stage.settled().await;
    (stage, operator)
}

async fn ten_minutes_without_writes(stage: &Stage) {
    let mark = stage.world.mark();
    tokio::time::sleep(Duration::from_secs(600)).await;
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_peace() {
    let (stage, _operator) = served().await;
    ten_minutes_without_writes(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_are_said_once() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.put(deepseek("unknown").within(AI).serving("deepseek-r17"));
    stage.world.put(deepseek("large").within(AI).serving("deepseek-v3").with("/spec/model/precision", "F16"));
    stage.world.put(deepseek("elsewhere").within(AI).on_any("amd-mi300x"));
    stage.world.put(deepseek("resting").within(AI).suspended());
    stage.until("unknown", "Ready=False UnknownModel").await;
    stage.until("large", "Ready=False DoesNotFit").await;
    stage.until("elsewhere", "Ready=False NoMatchingNode").await;
    stage.until("resting", "Ready=False Suspended").await;
    stage.settled().await;
    ten_minutes_without_writes(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_writes_nothing() {
    let (stage, operator) = served().await;
    let mark = stage.world.mark();
    operator.crash().await;
    let operator = stage.operator();
    tokio::time::sleep(Duration::from_secs(60)).await;
    operator.stop().await;
    let _operator = stage.operator();
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_writes_nothing() {
    let (stage, first) = served().await;
    let _second = stage.operator_as("second");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mark = stage.world.mark();
    first.stop().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let lease = stage.world.objects("Lease").remove(0);
    assert!(lease["spec"]["holderIdentity"].as_str().unwrap().starts_with("second"));
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn every_watch_is_renewed_in_peace() {
    let (stage, _operator) = served().await;
    let mark = stage.world.mark();
    stage.world.end_watches();
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.world.cut_watches();
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.world.expire_watches();
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.world.assert_no_writes_since(mark);
}
