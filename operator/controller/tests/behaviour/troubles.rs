//! What goes wrong is said, with its reason.

use std::collections::BTreeSet;
use std::time::Duration;

use deepseek_testkit::fixtures::{claim, deepseek, node};
use deepseek_testkit::{Fault, When};
use serde_json::{Value, json};

use crate::stage::{AI, H100, Operator, Stage, chat, waiting};

async fn served() -> (Stage, Operator) {
    let stage = Stage::with_gpus();
    let operator = stage.operator();
    stage.world.put(chat());
    stage.until_served("chat").await;
    (stage, operator)
}

/// Replaces what the kubelet says of the only Pod's container.
fn let_container_be(stage: &Stage, statuses: &Value) {
    stage.world.run_on_command();
    let name = stage.world.objects("Pod")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    stage.world.edit("Pod", AI, &name, |pod| {
        pod["status"] = json!({
            "phase": "Pending", "containerStatuses": statuses,
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
        });
    });
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_refused_is_named_and_the_others_are_applied() {
    for (resource, kind) in
        [("services", "Service"), ("poddisruptionbudgets", "PodDisruptionBudget"), ("deployments", "Deployment")]
    {
        let stage = Stage::with_gpus();
        let _operator = stage.operator();
        stage.world.fail(When::verb("patch").of(resource).through("").always(), Fault::Error(403));
        stage.world.put(chat());
        stage.until("chat", "Ready=False ApplyFailed").await;
        let message = stage.message("chat", "Ready");
        assert!(message.contains(kind) && message.contains("403"), "{message}");
        stage.until("chat", "Stalled=True ApplyFailed").await;
        stage.settled().await;
        for other in ["Service", "PodDisruptionBudget", "Deployment"].into_iter().filter(|other| *other != kind) {
            assert!(stage.world.object(other, AI, "chat").is_some(), "{other} is missing as well");
        }
        stage.world.heal();
        stage.until_within(Duration::from_secs(700), "chat", "Ready=True AllReplicasAnswer").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_is_asked_later_and_later() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.fail(When::verb("patch").of("deployments").through("").always(), Fault::Error(500));
    stage.world.put(chat());
    stage.until("chat", "Ready=False ApplyFailed").await;
    let mark = stage.world.mark();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let tries = stage.world.writes_since(mark).iter().filter(|r| r.resource == "deployments").count();
    assert!((5..=10).contains(&tries), "{tries} tries within five minutes");
    stage.world.heal();
    stage.until_within(Duration::from_secs(400), "chat", "Ready=True AllReplicasAnswer").await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_is_written_later() {
    let (stage, _operator) = served().await;
    stage.world.fail(When::verb("patch").of("deepseekdeployments").always(), Fault::Error(500));
    stage.engines.fail("HTTP 500");
    tokio::time::sleep(Duration::from_secs(30)).await;
    stage.until("chat", "Ready=True AllReplicasAnswer").await;
    let told = stage.world.objects("events.events.k8s.io").len();
    stage.world.heal();
    stage.until("chat", "Ready=False CanaryFailed").await;
    stage.settled().await;
    assert_eq!(stage.world.objects("events.events.k8s.io").len(), told + 1, "announced once, after it was written");
}

#[tokio::test(start_paused = true)]
async fn engines_that_do_not_answer_are_not_available() {
    let (stage, _operator) = served().await;
    stage.engines.fail("GET /v1/models answers HTTP 503");
    stage.until("chat", "Available=False CanaryFailed").await;
    stage.until("chat", "Ready=False CanaryFailed").await;
    assert!(stage.message("chat", "Ready").contains("HTTP 503"));
    assert!(stage.conditions("chat").contains(&"Progressing=True Complete".into()));
    stage.engines.answer();
    stage.until_served("chat").await;
    stage.engines.hang();
    stage.until_within(Duration::from_secs(120), "chat", "Ready=False CanaryFailed").await;
    assert!(stage.message("chat", "Ready").contains("no answer within 20 s"));
    stage.engines.answer();
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn one_slow_answer_is_no_outage() {
    let (stage, _operator) = served().await;
    let mark = stage.world.mark();
    stage.engines.fail("HTTP 500");
    // a healthy engine is asked every 15 s, a failing one every second: at most two misses
    tokio::time::sleep(Duration::from_millis(900)).await;
    stage.engines.answer();
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.world.assert_no_writes_since(mark);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_crashes_is_named_with_its_last_words() {
    let (stage, _operator) = served().await;
    let ended = json!({"terminated": {"exitCode": 139, "message": "out of memory\n"}});
    let mut statuses = waiting("CrashLoopBackOff", "back-off 10s restarting failed container");
    statuses[0]["lastState"] = ended;
    let_container_be(&stage, &statuses);
    stage.until("chat", "Ready=False EngineCrashing").await;
    stage.until("chat", "Stalled=True EngineCrashing").await;
    let message = stage.message("chat", "Ready");
    assert!(message.contains("exit code 139") && message.contains("\"out of memory\""), "{message}");
    assert!(message.contains("kubectl logs -n ai chat-"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_named() {
    let (stage, _operator) = served().await;
    let_container_be(&stage, &waiting("ImagePullBackOff", "Back-off pulling image \"example.org/engine:1\""));
    stage.until("chat", "Ready=False ImageUnavailable").await;
    assert!(stage.message("chat", "Ready").contains("example.org/engine:1"));
    let_container_be(&stage, &waiting("CreateContainerConfigError", "secret \"hub\" not found"));
    stage.until("chat", "Ready=False PodRefused").await;
    assert!(stage.message("chat", "Ready").contains("secret \"hub\" not found"));
}

#[tokio::test(start_paused = true)]
async fn an_image_of_weights_that_cannot_be_pulled_is_told_from_the_engines() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.put(deepseek("chat").within(AI).loaded_from_image("example.org/weights:1", "r1.gguf"));
    stage.until_served("chat").await;
    let_container_be(&stage, &waiting("ImagePullBackOff", "Back-off pulling image \"example.org/weights:1\""));
    stage.until("chat", "WeightsReady=False ImageUnavailable").await;
    stage.until("chat", "Ready=False ImageUnavailable").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_waited_for() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.put(deepseek("chat").within(AI).loaded_from_claim("weights", "r1.gguf"));
    stage.until("chat", "WeightsReady=False ClaimMissing").await;
    stage.until("chat", "Ready=False ClaimMissing").await;
    stage.world.put(claim("weights").within(AI).bound());
    stage.until_served("chat").await;
    assert!(stage.conditions("chat").contains(&"WeightsReady=True ClaimBound".into()));
    stage.world.edit("PersistentVolumeClaim", AI, "weights", |claim| claim["status"]["phase"] = json!("Lost"));
    stage.until("chat", "WeightsReady=False ClaimLost").await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_a_policy_refuses_are_said() {
    let stage = Stage::bare();
    stage.world.put(node("n1").with_gpus(8, H100));
    stage.world.admit(|verb, object| {
        if verb == "create" && object["kind"] == "Pod" {
            return Err(deepseek_testkit::refusal::refusal(403, "exceeded quota: gpus"));
        }
        Ok(object.clone())
    });
    stage.world.run_deployments();
    let _operator = stage.operator();
    stage.world.put(chat());
    stage.until("chat", "Ready=False PodRefused").await;
    assert!(stage.message("chat", "Ready").contains("exceeded quota: gpus"));
}

#[tokio::test(start_paused = true)]
async fn replicas_that_load_are_starting() {
    let stage = Stage::with_gpus();
    stage.world.keep_unready(|_| true);
    let _operator = stage.operator();
    stage.world.put(chat());
    stage.until("chat", "Available=False Starting").await;
    stage.until("chat", "Reconciling=True Starting").await;
    stage.world.let_ready();
    stage.until_served("chat").await;
    assert!(!stage.conditions("chat").iter().any(|said| said.starts_with("Reconciling")));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_does_not_hold_up_another() {
    let stage = Stage::with_gpus();
    let _operator = stage.operator();
    stage.world.fail(When::verb("patch").named("stuck").always(), Fault::Hang);
    stage.world.put(deepseek("stuck").within(AI));
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.world.put(chat());
    stage.until_served("chat").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_asked_no_more_than_the_limit_allows() {
    for (limit, asked) in [(2, 2), (16, 5)] {
        let stage = Stage::with_gpus();
        stage.world.fail(When::verb("patch").of("services").always(), Fault::Hang);
        for name in ["a", "b", "c", "d", "e"] {
            stage.world.put(deepseek(name).within(AI));
        }
        let _operator = stage.operator_with_concurrency(limit);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let waiting: BTreeSet<_> =
            stage.world.requests().into_iter().filter(|r| r.is_write() && !r.is_lease()).map(|r| r.name).collect();
        assert_eq!(waiting.len(), asked, "at once with a limit of {limit}: {waiting:?}");
    }
}
