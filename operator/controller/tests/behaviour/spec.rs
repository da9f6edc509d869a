//! What a user changes is done, and undone.

use deepseek_testkit::World;
use deepseek_testkit::fixtures::deepseek;
use serde_json::{Value, json};

use crate::stage::{AI, Operator, Stage, chat};

async fn served() -> (Stage, Operator) {
    let stage = Stage::with_gpus();
    let operator = stage.operator();
    stage.world.put(chat().with_replicas(2));
    stage.until_served("chat").await;
    (stage, operator)
}

fn status(stage: &Stage) -> Value {
    stage.world.object("DeepSeekDeployment", AI, "chat").unwrap()["status"].clone()
}

fn pods(world: &World) -> usize {
    world.objects("Pod").len()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_served() {
    let (stage, _operator) = served().await;
    let status = status(&stage);
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(
        (&status["replicas"], &status["readyReplicas"], &status["ready"]),
        (&json!(2), &json!(2), &json!("2/2"))
    );
    assert_eq!(status["endpoint"]["url"], "http://chat.ai.svc:8000/v1");
    assert_eq!(status["placement"]["accelerator"], "nvidia-h100");
    assert_eq!(status["model"]["name"], "deepseek-r1-distill-qwen-7b");
    let said = [
        "Accepted=True Valid",
        "Placed=True Fits",
        "WeightsReady=True NoneNeeded",
        "Available=True CanaryAnswered",
        "Progressing=True Complete",
        "Ready=True AllReplicasAnswer",
    ];
    assert_eq!(stage.conditions("chat"), said);
    for kind in ["Service", "PodDisruptionBudget", "Deployment"] {
        let child = stage.world.object(kind, AI, "chat").unwrap_or_else(|| panic!("there is no {kind}"));
        assert_eq!(child["metadata"]["ownerReferences"][0]["kind"], "DeepSeekDeployment");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_is_announced_once() {
    let (stage, _operator) = served().await;
    let told: Vec<_> = stage.world.objects("events.events.k8s.io").iter().map(|e| e["reason"].clone()).collect();
    assert_eq!(told, ["AllReplicasAnswer"]);
}

#[tokio::test(start_paused = true)]
async fn suspending_frees_everything_and_keeps_the_rest() {
    let (stage, _operator) = served().await;
    stage.edit_spec("chat", |spec| spec["suspend"] = json!(true));
    stage.until("chat", "Ready=False Suspended").await;
    stage.settled().await;
    assert_eq!(pods(&stage.world), 0);
    assert!(stage.world.object("Service", AI, "chat").is_some());
    assert_eq!(status(&stage)["ready"], "0/0");
    stage.edit_spec("chat", |spec| spec["suspend"] = json!(false));
    stage.until_served("chat").await;
    assert_eq!(pods(&stage.world), 2);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_replicas_is_followed() {
    let (stage, _operator) = served().await;
    for count in [5_usize, 1, 0, 3] {
        stage.edit_spec("chat", |spec| spec["replicas"] = json!(count));
        stage.until("chat", if count == 0 { "Ready=False ScaledToZero" } else { "Ready=True AllReplicasAnswer" }).await;
        stage.settled().await;
        assert_eq!(pods(&stage.world), count);
        assert_eq!(status(&stage)["ready"], format!("{count}/{count}"));
    }
    assert_eq!(stage.world.objects("ReplicaSet").len(), 1, "scaling is no roll-out");
}

#[tokio::test(start_paused = true)]
async fn a_new_spec_rolls_out() {
    let (stage, _operator) = served().await;
    let revision =
        |world: &World| world.objects("Pod")[0]["metadata"]["labels"]["deepseek-operator.io/revision"].clone();
    let before = revision(&stage.world);
    stage.edit_spec("chat", |spec| spec["engine"]["args"] = json!(["--time-to-first-token", "10ms"]));
    stage.world.eventually("another revision", |world| revision(world) != before).await;
    stage.until_served("chat").await;
    assert!(
        stage.world.objects("Pod").iter().all(|p| p["metadata"]["labels"]["deepseek-operator.io/revision"] != before)
    );
    let deployment = stage.world.object("Deployment", AI, "chat").unwrap();
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"], 1, "six accelerators are spare");
}

#[tokio::test(start_paused = true)]
async fn a_full_cluster_rolls_out_in_place() {
    let (stage, _operator) = served().await;
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(8));
    stage.until_served("chat").await;
    stage.edit_spec("chat", |spec| spec["engine"]["args"] = json!(["--time-to-first-token", "10ms"]));
    stage.settled().await;
    stage.until("chat", "Ready=True AllReplicasAnswer").await;
    let deployment = stage.world.object("Deployment", AI, "chat").unwrap();
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_removed_loses_its_effect() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.put(chat());
    stage.until_served("chat").await;
    let plain = stage.world.snapshot().only(&["deployments.apps", "services", "poddisruptionbudgets.policy"]);
    stage.edit_spec("chat", |spec| {
        spec["engine"]["args"] = json!(["--time-to-first-token", "10ms"]);
        spec["engine"]["env"] = json!([{"name": "SEED", "value": "7"}]);
        spec["engine"]["image"] = json!("example.org/engine:1");
        spec["model"]["servedNames"] = json!(["r1", "default"]);
        spec["resources"] = json!({"cpu": "8", "memory": "64Gi", "sharedMemory": "16Gi"});
        spec["placement"] = json!({
            "nodeSelector": {"kubernetes.io/hostname": "n1"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        });
        spec["shutdown"] = json!({"drainTimeout": "1h"});
    });
    stage.settled().await;
    let rich = stage.world.snapshot().only(&["deployments.apps"]);
    assert_ne!(plain.only(&["deployments.apps"]), rich);
    stage.edit_spec("chat", |spec| {
        for field in ["resources", "placement", "shutdown"] {
            spec.as_object_mut().unwrap().remove(field);
        }
        spec["engine"] = json!({"type": "Simulator"});
        spec["model"].as_object_mut().unwrap().remove("servedNames");
    });
    stage.until_served("chat").await;
    plain.assert_same(&stage.world.snapshot().only(&["deployments.apps", "services", "poddisruptionbudgets.policy"]));
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_is_refused_changes_nothing_that_runs() {
    let (stage, _operator) = served().await;
    let before = stage.world.snapshot().without(&["deepseekdeployments.deepseek-operator.io"]);
    stage.edit_spec("chat", |spec| spec["model"]["name"] = json!("deepseek-r17"));
    stage.until("chat", "Ready=False UnknownModel").await;
    stage.settled().await;
    before.assert_same(&stage.world.snapshot().without(&["deepseekdeployments.deepseek-operator.io"]));
    assert!(stage.conditions("chat").contains(&"Available=True CanaryAnswered".into()));
    assert!(stage.conditions("chat").contains(&"Stalled=True UnknownModel".into()));
    stage.edit_spec("chat", |spec| spec["model"]["name"] = json!("deepseek-r1-distill-qwen-7b"));
    stage.until_served("chat").await;
    before.assert_same(&stage.world.snapshot().without(&["deepseekdeployments.deepseek-operator.io"]));
}

#[tokio::test(start_paused = true)]
async fn who_is_suspended_and_has_no_place_keeps_no_deployment() {
    let (stage, _operator) = served().await;
    stage.edit_spec("chat", |spec| {
        spec["suspend"] = json!(true);
        spec["accelerator"] = json!({"anyOf": [{"product": "nvidia-b200"}]});
    });
    stage.world.eventually("no Deployment", |world| world.objects("Deployment").is_empty()).await;
    stage.settled().await;
    assert_eq!(pods(&stage.world), 0);
    assert!(stage.world.object("Service", AI, "chat").is_some());
}

#[tokio::test(start_paused = true)]
async fn who_is_suspended_and_refused_keeps_no_deployment() {
    let (stage, _operator) = served().await;
    stage.edit_spec("chat", |spec| {
        spec["suspend"] = json!(true);
        spec["model"]["name"] = json!("deepseek-r2d2");
    });
    stage.world.eventually("no Deployment", |world| world.objects("Deployment").is_empty()).await;
    stage.settled().await;
    assert_eq!(pods(&stage.world), 0);
    let said = stage.conditions("chat");
    for told in ["Accepted=False UnknownModel", "Placed=False Suspended", "Ready=False Suspended"] {
        assert!(said.contains(&told.into()), "{said:?}");
    }
    assert!(stage.message("chat", "Progressing").contains("no replica runs"));
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_goes_with_all_that_belongs_to_it() {
    let (stage, _operator) = served().await;
    stage.world.put(deepseek("other").within(AI));
    stage.until_served("other").await;
    let mark = stage.world.mark();
    stage.world.remove("DeepSeekDeployment", AI, "chat");
    stage.settled().await;
    for kind in ["DeepSeekDeployment", "Service", "PodDisruptionBudget", "Deployment", "ReplicaSet", "Pod"] {
        let left = stage.world.objects(kind);
        assert_eq!(left.len(), 1, "{kind}: {left:#?}");
    }
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_anew_serves_anew() {
    let (stage, _operator) = served().await;
    for _ in 0..3 {
        stage.world.remove("DeepSeekDeployment", AI, "chat");
        stage.world.put(chat());
        stage.until_served("chat").await;
        assert_eq!(pods(&stage.world), 1);
    }
}
