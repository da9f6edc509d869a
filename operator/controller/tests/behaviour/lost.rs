//! Nodes that answer no more: what gives way, when, and what never does.

use std::time::Duration;

use deepseek_testkit::fixtures::{Fixture, Node, node};
use serde_json::{Value, json};

use crate::stage::{H100, Operator, Stage, chat};

/// Nodes with one H100 each, whose kubelets renew their Leases no more and cannot be reached.
async fn cluster(names: &[&str], replicas: i32) -> (Stage, Operator) {
    cluster_of(names.iter().map(|name| (*name, node(name).with_gpus(1, H100))).collect(), replicas).await
}

/// The same with kubelets that can be reached.
async fn cluster_with_kubelets(names: &[&'static str], replicas: i32) -> (Stage, Operator) {
    let reachable = |(at, name): (usize, &&'static str)| {
        let fixture = node(name)
            .with_gpus(1, H100)
            .with("/status/addresses", json!([{"type": "InternalIP", "address": format!("10.0.0.{at}")}]))
            .with("/status/daemonEndpoints", json!({"kubeletEndpoint": {"Port": 10250}}));
        (*name, fixture)
    };
    cluster_of(names.iter().enumerate().map(reachable).collect(), replicas).await
}

async fn cluster_of(nodes: Vec<(&str, Fixture<Node>)>, replicas: i32) -> (Stage, Operator) {
    let stage = Stage::bare();
    for (name, fixture) in nodes {
        stage.world.put(fixture);
        stage.world.put(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": {"holderIdentity": name},
        }));
    }
    stage.world.run_deployments();
    let operator = stage.operator_with_gateways();
    stage.world.put(chat().with_replicas(replicas));
    stage.until_served("chat").await;
    (stage, operator)
}

fn nodes_of(stage: &Stage, component: &str) -> Vec<String> {
    stage.pods_of(component).into_iter().map(|(node, _)| node).collect()
}

fn is_kept_off(stage: &Stage, name: &str) -> bool {
    let taints = stage.world.object("Node", "", name).unwrap()["spec"]["taints"].clone();
    taints.as_array().into_iter().flatten().any(|taint| taint["key"] == "deepseek-operator.io/unreachable")
}

/// UID of the gateway there.
fn gateway_on(stage: &Stage, node: &str) -> Option<String> {
    let is_it = |pod: &&Value| {
        pod["spec"]["nodeName"] == node
            && pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
            && pod["metadata"]["deletionTimestamp"].is_null()
    };
    stage.world.objects("Pod").iter().find(is_it).and_then(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned))
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_on_a_lost_node_is_replaced_where_there_is_room() {
    let (stage, _operator) = cluster(&["n1", "n2", "n3", "n4"], 2).await;
    let lost = nodes_of(&stage, "engine").remove(0);
    let uid = gateway_on(&stage, &lost).expect("a gateway is there, too");
    stage.silence(&lost);
    pass(4).await;
    assert_ne!(gateway_on(&stage, &lost), Some(uid), "clients are led past it within four seconds");
    assert!(nodes_of(&stage, "engine").contains(&lost), "the node has not been silent for long enough");
    pass(14).await;
    let engines = nodes_of(&stage, "engine");
    assert!(engines.len() == 2 && !engines.contains(&lost), "{engines:?}");
    assert!(is_kept_off(&stage, &lost), "nothing is put there again");
    stage.until("chat", "Ready=True AllReplicasAnswer").await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_kubelet_spares_the_wait_for_its_lease() {
    let (stage, _operator) = cluster_with_kubelets(&["n1", "n2", "n3", "n4"], 2).await;
    let lost = nodes_of(&stage, "engine").remove(0);
    stage.silence(&lost);
    pass(4).await;
    let engines = nodes_of(&stage, "engine");
    assert!(engines.len() == 2 && !engines.contains(&lost), "{engines:?}");
    assert!(is_kept_off(&stage, &lost));
    stage.come_back();
    pass(13).await;
    assert!(!is_kept_off(&stage, &lost), "it has answered for ten seconds");
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_it_waits_and_says_so() {
    let (stage, _operator) = cluster(&["n1", "n2", "n3"], 3).await;
    let before = nodes_of(&stage, "engine");
    stage.silence("n1");
    pass(30).await;
    assert_eq!(nodes_of(&stage, "engine"), before, "the node may come back with all that it has loaded");
    let said = stage.conditions("chat");
    assert!(said.contains(&"NodesReachable=False NodeLost".to_owned()), "{said:#?}");
    assert!(said.contains(&"Placed=False InsufficientAccelerators".to_owned()), "{said:#?}");
    assert!(said.contains(&"Available=True CanaryAnswered".to_owned()), "the others serve: {said:#?}");
    assert!(stage.message("chat", "NodesReachable").contains("n1"));
    stage.come_back();
    stage.until_served("chat").await;
    assert_eq!(nodes_of(&stage, "engine"), before);
    assert!(!stage.conditions("chat").iter().any(|condition| condition.starts_with("NodesReachable")));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_is_used_again() {
    let (stage, _operator) = cluster(&["n1", "n2", "n3", "n4"], 2).await;
    let lost = nodes_of(&stage, "engine").remove(0);
    stage.silence(&lost);
    pass(20).await;
    assert!(is_kept_off(&stage, &lost));
    stage.come_back();
    pass(60).await;
    assert!(!is_kept_off(&stage, &lost));
    assert_eq!(nodes_of(&stage, "engine").len(), 2, "no duplicate");
}

#[tokio::test(start_paused = true)]
async fn when_most_nodes_are_silent_nothing_is_touched() {
    let (stage, _operator) = cluster(&["n1", "n2", "n3", "n4"], 3).await;
    let before = (stage.pods_of("engine"), stage.pods_of("gateway"));
    for node in ["n1", "n2", "n3", "n4"] {
        stage.silence(node);
    }
    pass(120).await;
    assert_eq!((stage.pods_of("engine"), stage.pods_of("gateway")), before);
    let said = stage.conditions("chat");
    assert!(said.contains(&"NodesReachable=False NodesSilent".to_owned()), "{said:#?}");
    stage.come_back();
    stage.until_served("chat").await;
    assert_eq!((stage.pods_of("engine"), stage.pods_of("gateway")), before);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_is_merely_cut_off_changes_nothing() {
    let (stage, _operator) = cluster(&["n1", "n2"], 1).await;
    let before = (stage.pods_of("engine"), stage.pods_of("gateway"));
    let frozen = before.0[0].0.clone();
    stage.world.put(node(&frozen).with_gpus(1, H100).not_ready());
    pass(120).await;
    assert_eq!((stage.pods_of("engine"), stage.pods_of("gateway")), before, "what answers stays");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_moves_speaks_for_the_node() {
    let (stage, _operator) = cluster(&["n1", "n2", "n3"], 1).await;
    let behind_a_wall = nodes_of(&stage, "engine").remove(0);
    stage.silence(&behind_a_wall);
    for beat in 0..12 {
        pass(5).await;
        stage.world.edit("Lease", "kube-node-lease", &behind_a_wall, |lease| {
            lease["spec"]["leaseTransitions"] = json!(beat);
        });
    }
    assert_eq!(nodes_of(&stage, "engine"), std::slice::from_ref(&behind_a_wall));
    assert!(!is_kept_off(&stage, &behind_a_wall));
}

/// A Pod whose kubelet is gone never ends by itself.
#[tokio::test(start_paused = true)]
async fn what_is_stuck_on_a_lost_node_is_removed_after_a_minute() {
    let (stage, _operator) = cluster(&["n1", "n2", "n3", "n4"], 1).await;
    let lost = nodes_of(&stage, "engine").remove(0);
    stage.silence(&lost);
    let there = || {
        let on_it = |pod: &&Value| pod["spec"]["nodeName"] == *lost;
        stage.world.objects("Pod").iter().filter(on_it).count()
    };
    pass(40).await;
    assert!(there() > 0, "it is asked to end, and has time to");
    pass(50).await;
    assert_eq!(there(), 0);
    stage.until("chat", "Ready=True AllReplicasAnswer").await;
}
