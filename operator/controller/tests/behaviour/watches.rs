//! Streams that break, expire, fall silent, or bring what nobody can read.

use std::time::Duration;

use deepseek_testkit::fixtures::{deepseek, deepseek_deployment};
use deepseek_testkit::{Fault, Kind, When, World};
use serde_json::json;

use crate::stage::{AI, Operator, Stage, ask_admin, chat};

async fn served() -> (Stage, Operator) {
    let stage = Stage::with_gpus();
    let operator = stage.operator();
    stage.world.put(chat());
    stage.until_served("chat").await;
    (stage, operator)
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_a_watch_is_cut_is_seen() {
    let (stage, _operator) = served().await;
    stage.world.cut_watches();
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(2));
    stage.world.remove("Service", AI, "chat");
    stage.settled().await;
    assert!(stage.world.object("Service", AI, "chat").is_some());
    assert_eq!(stage.world.objects("Pod").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_happens_before_a_watch_expires_is_seen() {
    for kind in ["DeepSeekDeployment", "Service", "Deployment", "Pod", "Node"] {
        let (stage, _operator) = served().await;
        for frozen in ["DeepSeekDeployment", "Service", "Deployment", "Pod", "Node"] {
            stage.world.freeze_watches_of(frozen);
        }
        match kind {
            "DeepSeekDeployment" => stage.edit_spec("chat", |spec| spec["replicas"] = json!(2)),
            "Pod" => stage.engines.fail("HTTP 500"),
            "Node" => drop(stage.world.edit("Node", "", "n1", |node| node["metadata"]["labels"] = json!({}))),
            child => stage.world.remove(child, AI, "chat"),
        }
        stage.world.expire_watches();
        stage.world.thaw_watches();
        tokio::time::sleep(Duration::from_secs(120)).await;
        match kind {
            "DeepSeekDeployment" => assert_eq!(stage.world.objects("Pod").len(), 2),
            "Pod" => stage.until("chat", "Ready=False CanaryFailed").await,
            "Node" => stage.until("chat", "Ready=False NoMatchingNode").await,
            child => assert!(stage.world.object(child, AI, "chat").is_some(), "{child}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_keeps_failing_delays_no_other() {
    let streams = [
        ("nodes", "Node"),
        ("pods", "Pod"),
        ("persistentvolumeclaims", "PersistentVolumeClaim"),
        ("poddisruptionbudgets", "PodDisruptionBudget"),
        ("services", "Service"),
    ];
    for (failing, kind) in streams {
        let (stage, _operator) = served().await;
        for verb in ["list", "watch"] {
            stage.world.fail(When::verb(verb).of(failing).always(), Fault::Error(500));
        }
        stage.world.cut_watches_of(kind);
        let mark = stage.world.mark();
        // over half a minute, so that it is tried again meanwhile and its back-off grows
        for replicas in [2, 1].into_iter().cycle().take(16) {
            stage.edit_spec("chat", |spec| spec["replicas"] = json!(replicas));
            let scaled =
                |world: &World| world.object("Deployment", AI, "chat").unwrap()["spec"]["replicas"] == replicas;
            let what = format!("a scaled Deployment while {failing} fail");
            stage.world.within(Duration::from_millis(100), &what, scaled).await;
            tokio::time::sleep(Duration::from_millis(1700)).await;
        }
        let tries =
            stage.world.requests_since(mark).into_iter().filter(|r| r.resource == failing && r.code == Some(500));
        assert!((1..=20).contains(&tries.count()), "{failing} are tried again, with pauses");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_changed_unseen_is_seen_in_the_next_list() {
    let (stage, _operator) = served().await;
    stage.world.lose_next_event_of("DeepSeekDeployment");
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(2));
    stage.world.expire_watches();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.world.objects("Pod").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_replaced_within_its_time() {
    let (stage, _operator) = served().await;
    stage.world.lose_next_event_of("Service");
    stage.world.remove("Service", AI, "chat");
    stage.world.expire_watches();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(stage.world.object("Service", AI, "chat").is_some());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_blinds_nobody() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.put(deepseek_deployment("broken", json!({"model": {"name": "x"}, "replicas": "many"})).within(AI));
    stage.world.put(chat());
    stage.until("broken", "Accepted=False Undecodable").await;
    let message = stage.message("broken", "Accepted");
    assert!(message.contains("corrected manifest"), "{message}");
    stage.until_served("chat").await;
    stage.edit_spec("broken", |spec| *spec = deepseek("broken").value()["spec"].clone());
    stage.until_served("broken").await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_is_told_once() {
    let (stage, operator) = served().await;
    stage.edit_spec("chat", |spec| spec["replicas"] = json!("many"));
    stage.until("chat", "Ready=False Undecodable").await;
    stage.settled().await;
    assert_eq!(stage.world.objects("Pod").len(), 1, "what runs stays");
    let mark = stage.world.mark();
    operator.crash().await;
    let _operator = stage.operator();
    tokio::time::sleep(Duration::from_secs(600)).await;
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn a_missing_definition_is_named_and_waited_for() {
    let stage = Stage::with_gpus();
    stage.world.put(chat());
    stage.world.stop_serving("DeepSeekDeployment");
    let (_operator, admin) = stage.operator_with_admin_port();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (code, body) = ask_admin(admin, "/readyz").await;
    assert_eq!((code, body.contains("deepseekdeployments"), body.contains("pods")), (503, true, false), "{body}");
    assert_eq!(ask_admin(admin, "/livez").await.0, 200);
    let kind =
        Kind::custom("deepseek-operator.io", "v1alpha1", "DeepSeekDeployment", "deepseekdeployments").with_scale();
    stage.world.serve(kind);
    stage.until_served("chat").await;
    assert_eq!(ask_admin(admin, "/readyz").await, (200, "ok\n".to_owned()));
    let (_, shown) = ask_admin(admin, "/debug/state").await;
    assert!(shown.contains("\"leading\": true"), "{shown}");
    assert!(ask_admin(admin, "/metrics").await.1.contains("deepseek_leader 1"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_every_list_is_complete() {
    let stage = Stage::with_gpus();
    stage.world.put(chat());
    stage.world.fail(When::verb("list").of("nodes").always(), Fault::Error(503));
    let _operator = stage.operator();
    let mark = stage.world.mark();
    tokio::time::sleep(Duration::from_secs(120)).await;
    stage.world.assert_no_writes_since(mark);
    stage.world.heal();
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_lost_its_label_serves_no_more() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.put(chat().on_processors());
    stage.until_served("chat").await;
    let name = stage.world.objects("Pod")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    // quarantine: the replica set gives it up and makes another one
    stage.world.edit("Pod", AI, &name, |pod| {
        pod["metadata"]["labels"] = json!({});
        pod["metadata"]["ownerReferences"] = json!([]);
    });
    stage.until_served("chat").await;
    let object = stage.world.object("DeepSeekDeployment", AI, "chat").unwrap();
    assert_eq!(object["status"]["ready"], "1/1");
}
