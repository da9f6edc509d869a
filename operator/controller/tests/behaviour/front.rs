//! Gateways: what they need is made, clients are led to them, and they go when nobody wants them.

use deepseek_testkit::fixtures::node;
use serde_json::json;

use crate::stage::{AI, H100, Stage, chat};

/// Kinds and names of a deployment's children.
fn children(stage: &Stage) -> Vec<String> {
    let kinds = [
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "ConfigMap",
        "NetworkPolicy",
        "Service",
        "PodDisruptionBudget",
        "Deployment",
    ];
    let names = |kind: &&str| {
        let mut names: Vec<_> = (stage.world.objects(kind).iter())
            .filter(|object| object["metadata"]["namespace"] == AI)
            .map(|object| format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or_default()))
            .collect();
        names.sort();
        names
    };
    kinds.iter().flat_map(names).collect()
}

fn leads_to(stage: &Stage) -> String {
    let service = stage.world.object("Service", AI, "chat").unwrap();
    service["spec"]["selector"]["app.kubernetes.io/component"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_gets_gateways_and_loses_them() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator_with_gateways();
    stage.world.put(chat());
    stage.until_served("chat").await;
    let all = [
        "ServiceAccount/chat-gateway",
        "Role/chat-gateway",
        "RoleBinding/chat-gateway",
        "ConfigMap/chat-gateway",
        "NetworkPolicy/chat-engines",
        "Service/chat",
        "Service/chat-engines",
        "PodDisruptionBudget/chat",
        "PodDisruptionBudget/chat-gateway",
        "Deployment/chat",
        "Deployment/chat-gateway",
    ];
    assert_eq!(children(&stage), all);
    assert_eq!((leads_to(&stage), stage.pods_of("gateway").len()), ("gateway".to_owned(), 2));
    assert!(stage.conditions("chat").contains(&"GatewayReady=True GatewaysAnswer".to_owned()));
    stage.edit_spec("chat", |spec| spec["gateway"] = json!({"replicas": 0}));
    stage.settled().await;
    assert_eq!(children(&stage), ["Service/chat", "PodDisruptionBudget/chat", "Deployment/chat"]);
    assert_eq!(leads_to(&stage), "engine");
    assert!(!stage.conditions("chat").iter().any(|condition| condition.starts_with("GatewayReady")));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_deployment_keeps_its_gateways_and_frees_its_accelerators() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator_with_gateways();
    stage.world.put(chat());
    stage.until_served("chat").await;
    for model in [json!("deepseek-r1-distill-qwen-7b"), json!("nonsense")] {
        stage.edit_spec("chat", |spec| {
            spec["suspend"] = json!(true);
            spec["model"]["name"] = model;
        });
        stage.settled().await;
        assert_eq!((stage.pods_of("engine").len(), stage.pods_of("gateway").len()), (0, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn who_had_a_service_keeps_it_until_a_gateway_is_ready() {
    let stage = Stage::with_gpus();
    let before = stage.operator();
    stage.world.put(chat());
    stage.until_served("chat").await;
    before.stop().await;
    let is_gateway = |pod: &serde_json::Value| pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway";
    stage.world.keep_unready(is_gateway);
    let _after = stage.operator_with_gateways();
    stage.settled().await;
    assert_eq!((leads_to(&stage), stage.pods_of("gateway").len()), ("engine".to_owned(), 2));
    stage.world.let_ready();
    stage.until_served("chat").await;
    assert_eq!(leads_to(&stage), "gateway");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_calls_so_is_left_alone() {
    for (kind, api) in [("ConfigMap", "v1"), ("ServiceAccount", "v1")] {
        let stage = Stage::with_gpus();
        let theirs = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "chat-gateway", "namespace": AI}});
        stage.world.put(theirs);
        let _operator = stage.operator_with_gateways();
        stage.world.put(chat());
        stage.until("chat", "Ready=False NameTaken").await;
        let found = stage.world.object(kind, AI, "chat-gateway").unwrap();
        assert!(found["metadata"]["ownerReferences"].is_null(), "{kind}: {found}");
        stage.world.remove(kind, AI, "chat-gateway");
        stage.until_served("chat").await;
    }
}

#[tokio::test(start_paused = true)]
async fn gateways_that_answer_are_held_when_kubernetes_has_lost_their_nodes() {
    let stage = Stage::bare();
    stage.world.put(node("n1").with_gpus(1, H100));
    stage.world.put(node("n2"));
    stage.world.run_deployments();
    let _operator = stage.operator_with_gateways();
    stage.world.put(chat());
    stage.until_served("chat").await;
    assert!(stage.world.object("EndpointSlice", AI, "chat-held").is_none());
    for lost in [node("n1").with_gpus(1, H100), node("n2")] {
        stage.world.put(lost.not_ready());
    }
    stage.settled().await;
    let slice = stage.world.object("EndpointSlice", AI, "chat-held").expect("somebody leads to them");
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "chat");
    let held: Vec<_> = slice["endpoints"].as_array().unwrap().iter().map(|e| e["addresses"][0].clone()).collect();
    let gateways = stage.pods_of("gateway");
    assert!(held.len() == 2 && gateways.iter().all(|(_, at)| held.contains(&json!(at.trim_end_matches(":8000")))));
    assert!(stage.conditions("chat").contains(&"GatewayReady=True GatewaysAnswer".to_owned()));
    for found in [node("n1").with_gpus(1, H100), node("n2")] {
        stage.world.put(found);
    }
    stage.until_served("chat").await;
    assert!(stage.world.object("EndpointSlice", AI, "chat-held").is_none());
}

#[tokio::test(start_paused = true)]
async fn rights_that_somebody_adds_are_taken_away() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator_with_gateways();
    stage.world.put(chat());
    stage.until_served("chat").await;
    let before = stage.world.object("Role", AI, "chat-gateway").unwrap()["rules"].clone();
    stage.world.edit("Role", AI, "chat-gateway", |role| {
        let more = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]});
        role["rules"].as_array_mut().unwrap().push(more);
    });
    stage.settled().await;
    assert_eq!(stage.world.object("Role", AI, "chat-gateway").unwrap()["rules"], before);
}
