//! Others write too: foreign objects, hands on our objects, namesakes.

use std::time::Duration;

use deepseek_testkit::fixtures::any;
use deepseek_testkit::{Snapshot, World};
use serde_json::{Value, json};

use crate::stage::{AI, Operator, Stage, chat};

const CHILDREN: [&str; 3] = ["Service", "PodDisruptionBudget", "Deployment"];

async fn served() -> (Stage, Operator) {
    let stage = Stage::with_gpus();
    let operator = stage.operator();
    stage.world.put(chat());
    stage.until_served("chat").await;
    (stage, operator)
}

fn children(world: &World) -> Snapshot {
    world.snapshot().only(&["services", "poddisruptionbudgets.policy", "deployments.apps"])
}

#[tokio::test(start_paused = true)]
async fn a_child_that_was_deleted_by_hand_comes_back() {
    let (stage, _operator) = served().await;
    let before = children(&stage.world);
    for kind in CHILDREN {
        stage.world.remove(kind, AI, "chat");
        stage.settled().await;
        before.assert_same(&children(&stage.world));
    }
    stage.until("chat", "Ready=True AllReplicasAnswer").await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_was_deleted_as_soon_as_it_was_made_comes_back() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.settled().await;
    stage.world.put(chat());
    for kind in CHILDREN {
        stage.world.eventually(kind, |world| world.object(kind, AI, "chat").is_some()).await;
        stage.world.remove(kind, AI, "chat");
    }
    stage.until_served("chat").await;
    for kind in CHILDREN {
        assert!(stage.world.object(kind, AI, "chat").is_some(), "{kind} did not come back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_was_deleted_at_once_leaves_its_name_free() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.settled().await;
    stage.world.put(chat());
    stage.world.eventually("a Service", |world| world.object("Service", AI, "chat").is_some()).await;
    stage.world.remove("DeepSeekDeployment", AI, "chat");
    stage.settled().await;
    stage.world.put(chat());
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn a_hand_on_our_fields_is_undone() {
    let (stage, _operator) = served().await;
    let before = children(&stage.world);
    stage.world.edit("Deployment", AI, "chat", |object| {
        object["spec"]["replicas"] = json!(5);
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("example.org/other:1");
    });
    stage.world.edit("Service", AI, "chat", |object| object["spec"]["selector"] = json!({"app": "other"}));
    stage.world.edit("PodDisruptionBudget", AI, "chat", |object| object["spec"]["maxUnavailable"] = json!(3));
    stage.settled().await;
    before.assert_same(&children(&stage.world));
    stage.until("chat", "Ready=True AllReplicasAnswer").await;
}

#[tokio::test(start_paused = true)]
async fn labels_and_owners_that_were_taken_away_come_back() {
    let (stage, _operator) = served().await;
    let before = children(&stage.world);
    for kind in CHILDREN {
        stage.world.edit(kind, AI, "chat", |object| {
            object["metadata"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/managed-by");
        });
        stage.settled().await;
        before.assert_same(&children(&stage.world));
        stage.world.edit(kind, AI, "chat", |object| object["metadata"]["ownerReferences"] = json!([]));
        stage.settled().await;
        before.assert_same(&children(&stage.world));
    }
}

#[tokio::test(start_paused = true)]
async fn orphans_are_adopted_and_go_on_serving() {
    let (stage, operator) = served().await;
    operator.crash().await;
    for kind in CHILDREN {
        stage.world.edit(kind, AI, "chat", |object| object["metadata"]["ownerReferences"] = json!([]));
    }
    stage.world.remove("DeepSeekDeployment", AI, "chat");
    let pods = stage.world.objects("Pod");
    stage.world.put(chat());
    let _operator = stage.operator();
    stage.until_served("chat").await;
    let uids = |pods: &[Value]| pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect::<Vec<_>>();
    assert_eq!(uids(&stage.world.objects("Pod")), uids(&pods));
    let owner = stage.world.object("DeepSeekDeployment", AI, "chat").unwrap()["metadata"]["uid"].clone();
    for kind in CHILDREN {
        let child = stage.world.object(kind, AI, "chat").unwrap();
        assert_eq!(child["metadata"]["ownerReferences"][0]["uid"], owner, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_add_stays() {
    let (stage, _operator) = served().await;
    stage.world.edit("Service", AI, "chat", |object| object["metadata"]["annotations"]["team"] = json!("blue"));
    stage.world.edit("Deployment", AI, "chat", |object| {
        let template = &mut object["spec"]["template"];
        template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("2026-01-01T00:00:00Z");
        template["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "sidecar", "image": "proxy:1"}));
    });
    let mark = stage.world.mark();
    stage.until_served("chat").await;
    let told = |record: &&deepseek_testkit::Record| {
        record.resource != "deepseekdeployments" && record.group != "events.k8s.io"
    };
    let writes = stage.world.writes_since(mark);
    assert_eq!(writes.iter().find(told), None, "nobody fights over what is not ours");
    assert_eq!(stage.world.object("Service", AI, "chat").unwrap()["metadata"]["annotations"]["team"], "blue");
    let pod = stage.world.objects("Pod").remove(0);
    assert_eq!(pod["spec"]["containers"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_left_alone() {
    let foreign = [
        any("v1", "Service", "chat")
            .with("/spec/selector", json!({"app": "shop"}))
            .with("/spec/ports", json!([{"name": "http", "port": 80}])),
        any("policy/v1", "PodDisruptionBudget", "chat")
            .with("/spec/selector/matchLabels/app", "shop")
            .with("/spec/maxUnavailable", 2),
        any("apps/v1", "Deployment", "chat")
            .with("/spec/selector/matchLabels/app", "shop")
            .with("/spec/template/metadata/labels/app", "shop")
            .with("/spec/template/spec/containers", json!([{"name": "shop", "image": "shop:1"}])),
    ];
    for (kind, foreign) in CHILDREN.into_iter().zip(foreign) {
        let stage = Stage::with_gpus();
        let _operator = stage.operator();
        stage.world.put(foreign.within(AI));
        let spec = |world: &World| world.object(kind, AI, "chat").unwrap()["spec"].clone();
        let before = spec(&stage.world);
        stage.world.put(chat());
        stage.until("chat", "Ready=False NameTaken").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(spec(&stage.world), before);
        assert!(stage.world.object(kind, AI, "chat").unwrap()["metadata"]["ownerReferences"].is_null());
        let message = stage.message("chat", "Ready");
        assert!(message.contains(kind) && message.contains("\"ai\"") && message.contains("rename"), "{message}");
        stage.world.remove(kind, AI, "chat");
        stage.until_within(Duration::from_secs(400), "chat", "Ready=True AllReplicasAnswer").await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_predecessor_left_is_waited_for() {
    let (stage, _operator) = served().await;
    stage.world.pause_garbage_collection();
    stage.world.remove("DeepSeekDeployment", AI, "chat");
    stage.world.put(chat().called(&["second"]));
    stage.until("chat", "Ready=False ApplyFailed").await;
    assert!(stage.message("chat", "Ready").contains("deleted deployment"), "{}", stage.message("chat", "Ready"));
    stage.world.resume_garbage_collection();
    stage.until_served("chat").await;
    let pod = stage.world.objects("Pod").remove(0);
    assert_eq!(pod["metadata"]["annotations"]["deepseek-operator.io/served-names"], "second");
}
