//! What nobody knows for certain takes nothing away.

use deepseek_testkit::{Fault, When};
use serde_json::{Value, json};

use crate::gateways::Tale;
use crate::scaling::{five, pass, replicas, says, told, two_each};

#[tokio::test(start_paused = true)]
async fn metrics_that_are_cut_for_twenty_minutes_take_nothing_away_during_or_after() {
    for tale in [Tale::Of(0), Tale::Of(1)] {
        let (stage, _operator) = five(two_each()).await;
        stage.engines.traffic.tell(tale);
        stage.engines.traffic.arrive(0);
        pass(1200).await;
        assert_eq!(replicas(&stage), 5, "{tale:?}");
        says(&stage, "ScalingActive=False FailedGetExternalMetric");
        let message = stage.message("chat", "ScalingActive");
        assert!(message.contains("of 2 gateways answer"), "{message}");
        assert_eq!(told(&stage)["currentMetrics"][0]["external"]["current"], Value::Null);
        assert_eq!(told(&stage)["targets"], "rps <unknown>/2 (avg)");
        stage.engines.traffic.tell(Tale::Whole);
        pass(280).await;
        assert_eq!(replicas(&stage), 5, "the window begins anew: {tale:?}");
        says(&stage, "ScalingActive=True ValidMetricFound");
        pass(600).await;
        assert_eq!(replicas(&stage), 1, "{tale:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_by_half_of_the_gateways_may_raise() {
    let (stage, _operator) = five(two_each()).await;
    stage.engines.traffic.tell(Tale::Of(1));
    stage.engines.traffic.arrive(14);
    pass(60).await;
    assert_eq!(replicas(&stage), 7);
    says(&stage, "ScalingActive=False FailedGetExternalMetric");
}

#[tokio::test(start_paused = true)]
async fn one_answer_that_is_missing_is_no_lost_gateway() {
    let (stage, _operator) = five(two_each()).await;
    pass(100).await;
    let mark = stage.world.mark();
    for _ in 0..5 {
        stage.engines.traffic.tell(Tale::Of(0));
        pass(6).await;
        stage.engines.traffic.tell(Tale::Whole);
        pass(30).await;
    }
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn counts_that_stand_still_are_stale() {
    let (stage, _operator) = five(two_each()).await;
    stage.engines.traffic.arrive(0);
    pass(100).await;
    stage.engines.traffic.freeze();
    pass(900).await;
    assert_eq!(replicas(&stage), 5);
    says(&stage, "ScalingActive=False StaleMetrics");
    stage.engines.traffic.tell(Tale::Whole);
    pass(30).await;
    says(&stage, "ScalingActive=True ValidMetricFound");
}

#[tokio::test(start_paused = true)]
async fn gateways_that_are_gone_are_no_load_of_zero() {
    let (stage, _operator) = five(two_each()).await;
    stage.world.keep_unready(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway");
    for pod in stage.world.objects("Pod") {
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway" {
            stage.world.remove("Pod", "ai", pod["metadata"]["name"].as_str().unwrap());
        }
    }
    pass(900).await;
    assert_eq!(replicas(&stage), 5);
    assert!(stage.message("chat", "ScalingActive").contains("there is no gateway"));
    stage.world.let_ready();
    pass(120).await;
    says(&stage, "ScalingActive=True ValidMetricFound");
    assert_eq!(replicas(&stage), 5);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_are_lost_under_load_are_no_reason_to_shrink() {
    let (stage, _operator) = five(two_each()).await;
    stage.engines.fail("out of memory");
    for _ in 0..90 {
        pass(10).await;
        assert!(replicas(&stage) >= 5);
    }
    stage.engines.answer();
    pass(60).await;
    assert!(replicas(&stage) >= 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_knows_what_has_been_and_changes_nothing() {
    let (stage, first) = five(two_each()).await;
    pass(100).await;
    let before = told(&stage);
    let _second = stage.operator_with_gateways_as("second");
    pass(30).await;
    let mark = stage.world.mark();
    first.stop().await;
    pass(600).await;
    stage.world.assert_no_writes_since(mark);
    assert_eq!((replicas(&stage), told(&stage)), (5, before));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_changes_in_the_middle_of_a_step_goes_on_without_a_flip() {
    let (stage, first) = five(two_each()).await;
    let _second = stage.operator_with_gateways_as("second");
    stage.engines.traffic.arrive(16);
    let mut seen = vec![replicas(&stage)];
    pass(7).await;
    first.crash().await;
    for _ in 0..120 {
        pass(1).await;
        seen.push(replicas(&stage));
    }
    assert!(seen.is_sorted() && seen.last() == Some(&8), "{seen:?}");
    // and nothing goes down for a whole window of the new one
    stage.engines.traffic.arrive(0);
    pass(180).await;
    assert_eq!(replicas(&stage), 8);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_costs_nothing_but_time() {
    let (stage, _operator) = five(two_each()).await;
    stage.world.fail(When::any().always(), Fault::Error(503));
    stage.engines.traffic.arrive(0);
    pass(900).await;
    stage.engines.traffic.arrive(14);
    pass(60).await;
    stage.world.heal();
    pass(60).await;
    assert_eq!(replicas(&stage), 7);
    says(&stage, "ScalingActive=True ValidMetricFound");
    let status = told(&stage);
    assert_eq!(status["recentDecisions"][0]["from"], json!(5), "it was never less: {status}");
}
