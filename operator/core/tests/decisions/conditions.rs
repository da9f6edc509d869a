//! Every reason, and what leads to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use deepseek_core::decide::autoscale::told::REASONS;
use deepseek_core::decide::node_loss::Watch;
use deepseek_core::observed::{Canary, Claim, Observed, Pod, Trouble, Watched};
use deepseek_core::plan::plan;
use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::ConditionType::{
    self, Accepted, Available, GatewayReady, NodesReachable, Placed, Progressing, Ready, WeightsReady,
};
use deepseek_crds::condition::Reason;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use serde_json::{Value, json};

use crate::scene::{
    chat, cluster, from_claim, h100s, plain_node, served, serving, simulated, verdict, with, with_gateways,
};

/// Said elsewhere: by the schema's default, and by whoever reads, writes and applies.
const ELSEWHERE: [Reason; 4] = [Reason::Pending, Reason::Undecodable, Reason::NameTaken, Reason::ApplyFailed];

/// What is looked at, and what one condition then says.
struct Case {
    deployment: DeepSeekDeployment,
    observed: Observed,
    says: (ConditionType, Option<bool>, Reason),
}

fn case(spec: Value, observed: Observed, condition: ConditionType, holds: Option<bool>, reason: Reason) -> Case {
    Case { deployment: chat(spec), observed, says: (condition, holds, reason) }
}

fn gpus() -> Observed {
    cluster([h100s("n1", 8)])
}

/// One replica that runs, changed.
fn running(spec: &Value, change: impl FnOnce(&mut Pod)) -> Observed {
    let mut observed = served(&chat(spec.clone()), &gpus());
    change(&mut observed.pods[0]);
    observed
}

fn in_trouble(spec: &Value, trouble: Trouble) -> Observed {
    running(spec, |pod| {
        (pod.ready, pod.canary, pod.trouble) = (false, None, Some(trouble));
    })
}

fn stuck(spec: &Value, message: &str) -> Observed {
    running(spec, |pod| {
        (pod.ready, pod.canary, pod.node, pod.unschedulable) = (false, None, None, Some(message.into()));
    })
}

fn with_claim(claim: Option<Claim>) -> Observed {
    Observed { claim, ..gpus() }
}

/// As the Deployment controller says when an admission plug-in refuses its Pods.
fn refused_pods() -> Observed {
    let mut observed = served(&chat(simulated()), &gpus());
    observed.pods.clear();
    let failure = DeploymentCondition {
        type_: "ReplicaFailure".into(),
        status: "True".into(),
        message: Some("exceeded quota: gpus".into()),
        ..DeploymentCondition::default()
    };
    let mut workload = observed.workload.clone().unwrap();
    workload.status = Some(DeploymentStatus { conditions: Some(vec![failure]), ..DeploymentStatus::default() });
    Observed { workload: Some(workload), ..observed }
}

fn of_the_spec() -> Vec<Case> {
    let refused = |patch: Value, reason| case(with(simulated(), patch), gpus(), Accepted, Some(false), reason);
    let suspended = || with(simulated(), json!({"model": {"name": "gpt"}, "suspend": true}));
    vec![
        case(simulated(), gpus(), Accepted, Some(true), Reason::Valid),
        refused(json!({"model": {"name": "gpt"}}), Reason::UnknownModel),
        refused(json!({"model": {"name": "deepseek-v4-flash", "precision": "INT4"}}), Reason::UnknownPrecision),
        refused(json!({"accelerator": {"anyOf": [{"product": "abacus"}]}}), Reason::UnknownAccelerator),
        refused(json!({"engine": {"type": "Vllm"}}), Reason::UnsupportedEngine),
        refused(json!({"engine": {"args": ["--port", "1"]}}), Reason::ForbiddenArgument),
        refused(json!({"resources": {"memory": "lots"}}), Reason::InvalidValue),
        case(with(simulated(), json!({"model": {"name": "gpt"}})), gpus(), Placed, None, Reason::Refused),
        case(with(simulated(), json!({"model": {"name": "gpt"}})), gpus(), Available, Some(false), Reason::Refused),
        case(with(simulated(), json!({"model": {"name": "gpt"}})), gpus(), Progressing, Some(false), Reason::Refused),
        case(suspended(), gpus(), Ready, Some(false), Reason::Suspended),
        case(suspended(), gpus(), Placed, Some(false), Reason::Suspended),
        case(suspended(), gpus(), Available, Some(false), Reason::Suspended),
        case(suspended(), gpus(), Accepted, Some(false), Reason::UnknownModel),
        case(suspended(), gpus(), Progressing, Some(false), Reason::Refused),
    ]
}

fn of_the_place() -> Vec<Case> {
    let v3 = with(
        simulated(),
        json!({"model": {"name": "deepseek-v3"}, "accelerator": {"anyOf": [{"product": "nvidia-t4"}]}}),
    );
    let custom = with(simulated(), json!({"engine": {"type": "Custom"}}));
    let nine = with(simulated(), json!({"replicas": 9}));
    let short_of = |what: &str| stuck(&simulated(), &format!("0/1 nodes are available: 1 Insufficient {what}."));
    vec![
        case(simulated(), gpus(), Placed, Some(true), Reason::Fits),
        case(v3, gpus(), Placed, Some(false), Reason::DoesNotFit),
        case(simulated(), cluster([plain_node("n1")]), Placed, Some(false), Reason::NoMatchingNode),
        case(custom, gpus(), Placed, Some(false), Reason::UnsupportedEngine),
        case(nine, gpus(), Placed, Some(false), Reason::InsufficientAccelerators),
        case(simulated(), short_of("nvidia.com/gpu"), Placed, Some(false), Reason::InsufficientAccelerators),
        case(simulated(), short_of("memory"), Placed, Some(false), Reason::InsufficientResources),
        case(with(simulated(), json!({"suspend": true})), gpus(), Placed, Some(false), Reason::Suspended),
        case(with(simulated(), json!({"replicas": 0})), gpus(), Placed, Some(false), Reason::ScaledToZero),
    ]
}

fn of_the_weights() -> Vec<Case> {
    let image = || {
        json!({"model": {
            "name": "deepseek-r1-distill-qwen-7b", "source": {"image": {"reference": "example.org/r1:1", "path": "r1.gguf"}},
        }})
    };
    let unpulled = in_trouble(&image(), Trouble::Image("Back-off pulling image \"example.org/r1:1\"".into()));
    let unbound = stuck(&from_claim(), "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
    let waiting = Observed { claim: Some(Claim::Pending), ..unbound };
    vec![
        case(simulated(), gpus(), WeightsReady, Some(true), Reason::NoneNeeded),
        case(from_claim(), gpus(), WeightsReady, Some(true), Reason::ClaimBound),
        case(from_claim(), with_claim(None), WeightsReady, Some(false), Reason::ClaimMissing),
        case(from_claim(), with_claim(Some(Claim::Lost)), WeightsReady, Some(false), Reason::ClaimLost),
        case(from_claim(), with_claim(Some(Claim::Pending)), WeightsReady, None, Reason::ClaimPending),
        case(from_claim(), waiting, WeightsReady, Some(false), Reason::ClaimPending),
        case(image(), gpus(), WeightsReady, Some(true), Reason::ImageNamed),
        case(image(), unpulled, WeightsReady, Some(false), Reason::ImageUnavailable),
    ]
}

/// One replica that runs behind a gateway, changed.
fn behind_gateway(change: impl FnOnce(&mut Pod)) -> Observed {
    let mut observed = served(&chat(simulated()), &with_gateways(gpus()));
    let mut gateway = Pod { ready: true, node: Some("c1".into()), ..serving("chat-gateway-0", "") };
    change(&mut gateway);
    observed.gateways = vec![gateway];
    observed
}

fn silent(nodes: &[(&str, bool)]) -> Observed {
    let watched = |suspect: bool| {
        let time = Some(std::time::Duration::from_secs(3));
        Watched { silent_for: time, suspect_for: time.filter(|_| suspect) }
    };
    let mut nodes: std::collections::BTreeMap<_, _> =
        nodes.iter().map(|(name, suspect)| ((*name).to_owned(), watched(*suspect))).collect();
    nodes.insert("c1".into(), Watched::default());
    Observed { watch: Arc::new(Watch::of(nodes)), ..running(&simulated(), |_| {}) }
}

fn of_the_gateway_and_the_nodes() -> Vec<Case> {
    let starting = || behind_gateway(|pod| (pod.ready, pod.canary) = (false, None));
    let lacking = || {
        behind_gateway(|pod| {
            (pod.ready, pod.canary) = (false, Some(Canary::Failed("no certificate in /etc/deepseek/tls".into())));
        })
    };
    vec![
        case(simulated(), behind_gateway(|_| {}), GatewayReady, Some(true), Reason::GatewaysAnswer),
        case(simulated(), behind_gateway(|_| {}), Ready, Some(true), Reason::AllReplicasAnswer),
        case(simulated(), starting(), GatewayReady, Some(false), Reason::GatewayStarting),
        case(simulated(), starting(), Available, Some(false), Reason::GatewayStarting),
        case(simulated(), starting(), Ready, Some(false), Reason::GatewayStarting),
        case(simulated(), lacking(), GatewayReady, Some(false), Reason::GatewayUnready),
        case(simulated(), silent(&[("n1", true)]), NodesReachable, Some(false), Reason::NodeLost),
        case(simulated(), silent(&[("n1", true)]), Available, Some(false), Reason::Starting),
        case(simulated(), silent(&[("n1", true), ("n2", false)]), NodesReachable, Some(false), Reason::NodesSilent),
        case(simulated(), silent(&[("n1", true), ("n2", false)]), Available, Some(true), Reason::CanaryAnswered),
    ]
}

fn of_the_engines() -> Vec<Case> {
    let (one, two) = (simulated(), with(simulated(), json!({"replicas": 2})));
    let mut half = served(&chat(two.clone()), &gpus());
    half.pods[1].canary = Some(Canary::Failed("HTTP 500".into()));
    let mut older = served(&chat(one.clone()), &gpus());
    older.pods.push(serving("chat-old", "older"));
    let silent = running(&one, |pod| pod.canary = Some(Canary::Failed("HTTP 500".into())));
    let crash = Trouble::Crashing { exit_code: 1, restarts: 3, message: "no such file".into() };
    let secret = Trouble::Configuration("secret \"hub\" not found".into());
    let calm = || served(&chat(simulated()), &gpus());
    vec![
        case(one.clone(), gpus(), Available, Some(false), Reason::Starting),
        case(one.clone(), gpus(), Ready, Some(false), Reason::Starting),
        case(one.clone(), calm(), Available, Some(true), Reason::CanaryAnswered),
        case(one.clone(), calm(), Progressing, Some(true), Reason::Complete),
        case(one.clone(), calm(), Ready, Some(true), Reason::AllReplicasAnswer),
        case(two, half, Ready, Some(false), Reason::SomeReplicasAnswer),
        case(one.clone(), older.clone(), Progressing, Some(true), Reason::RollingOut),
        case(one.clone(), older, Ready, Some(false), Reason::RollingOut),
        case(one.clone(), silent.clone(), Available, Some(false), Reason::CanaryFailed),
        case(one.clone(), silent, Ready, Some(false), Reason::CanaryFailed),
        case(one.clone(), in_trouble(&one, crash), Ready, Some(false), Reason::EngineCrashing),
        case(one.clone(), in_trouble(&one, secret), Available, Some(false), Reason::PodRefused),
        case(
            one.clone(),
            in_trouble(&one, Trouble::Image("x".into())),
            Available,
            Some(false),
            Reason::ImageUnavailable,
        ),
        case(one, refused_pods(), Ready, Some(false), Reason::PodRefused),
    ]
}

fn all() -> Vec<Case> {
    let all = [of_the_spec(), of_the_place(), of_the_weights(), of_the_engines(), of_the_gateway_and_the_nodes()];
    all.into_iter().flatten().collect()
}

#[test]
fn each_case_says_what_it_should() {
    for Case { deployment, observed, says: (condition, holds, reason) } in all() {
        let plan = plan(&deployment, &observed);
        let (held, found, message) = verdict(&plan, condition);
        assert_eq!((held, found), (holds, reason), "{condition}: {message}");
    }
}

#[test]
fn every_reason_has_a_case() {
    let told: BTreeSet<Reason> = all().into_iter().map(|case| case.says.2).chain(ELSEWHERE).chain(REASONS).collect();
    let untold: Vec<_> = Reason::KNOWN.iter().filter(|reason| !told.contains(reason)).collect();
    assert!(untold.is_empty(), "nothing leads to {untold:?}");
}

#[test]
fn conditions_are_complete_and_agree() {
    for Case { deployment, observed, .. } in all() {
        let plan = plan(&deployment, &observed);
        let count = |condition| plan.verdicts.iter().filter(|verdict| verdict.condition == condition).count();
        for condition in [Accepted, Placed, WeightsReady, Available, Progressing, Ready] {
            assert_eq!(count(condition), 1, "{condition}");
        }
        let (ready, reason, _) = verdict(&plan, Ready);
        let at_rest = matches!(reason, Reason::Suspended | Reason::ScaledToZero);
        let busy = count(ConditionType::Reconciling) + count(ConditionType::Stalled);
        assert_eq!(
            busy,
            usize::from(ready != Some(true) && !at_rest),
            "{reason}: either it goes on or somebody must act"
        );
        if ready == Some(true) {
            // what nobody can tell for certain does not count against it
            let others = plan.verdicts.iter().filter(|v| v.condition != NodesReachable);
            assert!(others.into_iter().all(|verdict| verdict.holds == Some(true)), "{:#?}", plan.verdicts);
        }
        for verdict in &plan.verdicts {
            assert!(verdict.message.ends_with('.') && !verdict.message.contains(".."), "{:?}", verdict.message);
        }
    }
}

#[test]
fn a_crash_tells_what_to_type() {
    let crash = Trouble::Crashing { exit_code: 137, restarts: 3, message: "CUDA out of memory".into() };
    let (_, _, said) = verdict(&plan(&chat(simulated()), &in_trouble(&simulated(), crash)), Ready);
    assert!(said.contains("exit code 137") && said.contains("\"CUDA out of memory\""), "{said}");
    assert!(said.contains("kubectl logs -n ai chat-0 --previous"), "{said}");
}

#[test]
fn counts_are_of_the_replicas_that_answer() {
    let deployment = chat(with(simulated(), json!({"replicas": 2})));
    let mut observed = served(&deployment, &gpus());
    observed.pods[0].terminating = true;
    observed.pods[1].ready = false;
    let facts = plan(&deployment, &observed).facts;
    assert_eq!((facts.replicas, facts.ready_replicas, facts.ready.as_str()), (1, 0, "0/2"));
    assert_eq!(facts.endpoint.map(|endpoint| endpoint.url).as_deref(), Some("http://chat.ai.svc:8000/v1"));
}
