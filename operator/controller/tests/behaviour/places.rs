//! Nodes come and go, and there is one accelerator too few.

use deepseek_testkit::fixtures::{deepseek, node, pod};
use serde_json::json;

use crate::stage::{AI, H100, Stage, chat};

/// Nodes with so many H100 each.
fn cluster(nodes: &[(&str, u32)]) -> Stage {
    let stage = Stage::bare();
    for (name, gpus) in nodes {
        stage.world.put(node(name).with_gpus(*gpus, H100));
    }
    stage.world.run_deployments();
    stage
}

#[tokio::test(start_paused = true)]
async fn of_two_that_want_the_last_accelerator_one_gets_it_and_the_other_says_so() {
    let stage = cluster(&[("n1", 1)]);
    stage.world.put(deepseek("first").within(AI));
    stage.world.put(deepseek("second").within(AI));
    let _operator = stage.operator();
    stage.settled().await;
    let ready = |name: &str| stage.conditions(name).contains(&"Ready=True AllReplicasAnswer".to_owned());
    let (winner, loser) = if ready("first") { ("first", "second") } else { ("second", "first") };
    stage.until(winner, "Ready=True AllReplicasAnswer").await;
    stage.until(loser, "Ready=False InsufficientAccelerators").await;
    assert!(stage.message(loser, "Ready").contains("suspend or delete another deployment"));
    stage.edit_spec(winner, |spec| spec["suspend"] = json!(true));
    stage.until_served(loser).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is_made_up_for() {
    let stage = cluster(&[("n1", 2), ("n2", 2)]);
    let _operator = stage.operator();
    stage.world.put(chat().with_replicas(2));
    stage.until_served("chat").await;
    stage.world.erase("Node", "", "n1");
    stage.until_served("chat").await;
    assert!(stage.world.objects("Pod").iter().all(|pod| pod["spec"]["nodeName"] == "n2"));
    stage.world.erase("Node", "", "n2");
    stage.until("chat", "Ready=False NoMatchingNode").await;
    assert!(stage.world.object("Deployment", AI, "chat").is_some(), "what was planned last stays");
    stage.world.put(node("n3").with_gpus(2, H100));
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_kubernetes_has_lost_serves_until_it_is_silent() {
    let stage = cluster(&[("n1", 1)]);
    let _operator = stage.operator();
    stage.world.put(chat());
    stage.until_served("chat").await;
    stage.world.put(node("n1").with_gpus(1, H100).not_ready());
    stage.until("chat", "Ready=False NoMatchingNode").await;
    stage.settled().await;
    assert!(stage.conditions("chat").contains(&"Available=True CanaryAnswered".to_owned()), "its engine answers");
    stage.silence("n1");
    stage.until("chat", "Available=False Starting").await;
    stage.come_back();
    stage.world.put(node("n1").with_gpus(1, H100));
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_is_used() {
    let stage = cluster(&[]);
    let _operator = stage.operator();
    stage.world.put(chat());
    stage.until("chat", "Ready=False NoMatchingNode").await;
    assert!(stage.world.objects("Deployment").is_empty());
    stage.world.put(node("n1").with_gpus(1, H100));
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn accelerators_that_others_hold_are_not_free() {
    let stage = cluster(&[("n1", 4)]);
    stage.world.put(pod("training").within("lab").on("n1").asking("nvidia.com/gpu", 4));
    let _operator = stage.operator();
    stage.world.put(chat());
    stage.until("chat", "Ready=False InsufficientAccelerators").await;
    stage.world.remove("Pod", "lab", "training");
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_on_the_way_out_still_holds_accelerators() {
    for gone in [false, true] {
        let stage = cluster(&[("n1", 4)]);
        stage.world.put(node("n2").with_gpus(4, "NVIDIA-L4"));
        // the finalizer keeps it there, as a long grace period does
        let training = pod("training").within("lab").on("n1").asking("nvidia.com/gpu", 4);
        stage.world.put(training.finalized_by("example.org/save"));
        stage.world.remove("Pod", "lab", "training");
        let leaving = stage.world.object("Pod", "lab", "training").unwrap();
        assert!(leaving["metadata"]["deletionTimestamp"].is_string(), "it is on its way out");
        if gone {
            stage.world.erase("Pod", "lab", "training");
        }
        let _operator = stage.operator();
        stage.world.put(chat().on_any("nvidia-h100").on_any("nvidia-l4"));
        stage.until_served("chat").await;
        let annotations = stage.world.object("Deployment", AI, "chat").unwrap()["metadata"]["annotations"].clone();
        let expected = if gone { "nvidia-h100" } else { "nvidia-l4" };
        assert_eq!(annotations["deepseek-operator.io/accelerator"], expected, "the preferred one is free: {gone}");
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_on_processors_serve_until_there_is_an_accelerator() {
    let stage = cluster(&[("n1", 1)]);
    stage.world.put(pod("training").within("lab").on("n1").asking("nvidia.com/gpu", 1));
    let _operator = stage.operator();
    stage.world.put(chat().on_processors().with_replicas(2));
    stage.until_served("chat").await;
    stage.edit_spec("chat", |spec| spec["accelerator"] = json!({"anyOf": [{"product": "nvidia-h100"}]}));
    stage.until("chat", "Placed=False InsufficientAccelerators").await;
    stage.settled().await;
    let object = stage.world.object("DeepSeekDeployment", AI, "chat").unwrap();
    assert_eq!(object["status"]["ready"], "2/2", "nobody went for one that cannot come");
    stage.world.remove("Pod", "lab", "training");
    stage.world.put(node("n2").with_gpus(1, H100));
    stage.until_served("chat").await;
    let products = stage.world.object("Deployment", AI, "chat").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(products["deepseek-operator.io/accelerator"], "nvidia-h100");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_want_more_accelerators_give_way_to_each_other() {
    let stage = cluster(&[("n1", 4)]);
    let _operator = stage.operator();
    stage.world.put(chat().on_exactly(1, "nvidia-h100").with_replicas(2));
    stage.until_served("chat").await;
    stage.edit_spec("chat", |spec| spec["accelerator"]["anyOf"][0]["count"] = json!(2));
    stage.until("chat", "Placed=True Fits").await;
    stage.until_served("chat").await;
    let pods = stage.world.objects("Pod");
    let held = |pod: &serde_json::Value| pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"].clone();
    assert_eq!(pods.iter().map(held).collect::<Vec<_>>(), ["2", "2"]);
}

#[tokio::test(start_paused = true)]
async fn replicas_stay_on_the_product_they_were_placed_on() {
    let stage = cluster(&[("n1", 1)]);
    stage.world.put(node("n2").with_gpus(1, "NVIDIA-L4"));
    let _operator = stage.operator();
    stage.world.put(chat().on_any("nvidia-h100").on_any("nvidia-l4"));
    stage.until_served("chat").await;
    stage.edit_spec("chat", |spec| spec["replicas"] = json!(2));
    stage.until("chat", "Placed=False InsufficientAccelerators").await;
    stage.settled().await;
    let products = stage.world.object("Deployment", AI, "chat").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(products["deepseek-operator.io/accelerator"], "nvidia-h100");
    assert!(stage.conditions("chat").contains(&"Available=True CanaryAnswered".into()));
}
