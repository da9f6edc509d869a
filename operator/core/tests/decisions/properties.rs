//! What holds for every spec and every world.

use deepseek_core::observed::{Canary, Claim, Node, Observed, Pod, Trouble};
use deepseek_core::plan::{ChildKind, Plan, plan};
use deepseek_core::render::{ACCELERATOR, PER_REPLICA};
use k8s_openapi::api::apps::v1::Deployment;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::scene::{GPU, annotations, applied, chat, child, cluster, node, pod_of, serving, taint, typed, with};

const PRODUCTS: [&str; 4] = ["nvidia-h100", "nvidia-l4", "nvidia-h200", "amd-mi300x"];
const SHOWN: [&str; 4] = ["NVIDIA-H100-80GB-HBM3", "NVIDIA-L4", "NVIDIA-H200", "Something-Else"];

fn model() -> impl Strategy<Value = Value> {
    let names = select(vec![
        "deepseek-r1-distill-qwen-7b",
        "deepseek-v3",
        "deepseek-v2-lite",
        "deepseek-r1-distill-qwen-32b",
        "gpt",
    ]);
    let precision = proptest::option::of(select(vec!["BF16", "FP8", "Q4_K_M", "INT3"]));
    let source = select(vec![
        json!(null),
        json!({"persistentVolumeClaim": {"claimName": "weights", "path": "a.gguf"}}),
        json!({"image": {"reference": "example.org/a:1", "path": "a.gguf"}}),
        json!({"image": {"reference": "example.org/a:1"}}),
    ]);
    let context = prop_oneof![3 => Just(None), 3 => (128..4096_i32).prop_map(Some), 1 => any::<i32>().prop_map(Some)];
    (names, precision, source, context).prop_map(|(name, precision, source, context)| {
        with(json!({"name": name}), json!({"precision": precision, "source": source, "contextLength": context}))
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let engine = select(vec![
        json!(null),
        json!({"type": "Simulator"}),
        json!({"type": "Custom"}),
        json!({"type": "Vllm"}),
        json!({"type": "Custom", "image": "example.org/e:1", "maxConcurrentSequences": -3}),
    ]);
    let choice = (select(PRODUCTS.to_vec()), proptest::option::of(-2..70_i32))
        .prop_map(|(product, count)| with(json!({"product": product}), json!({"count": count})));
    let accelerator = prop_oneof![
        Just(json!(null)),
        Just(json!({"cpu": {}})),
        proptest::collection::vec(choice, 0..4).prop_map(|choices| json!({"anyOf": choices})),
    ];
    let resources = select(vec![
        json!(null),
        json!({"cpu": "500m", "memory": "8Gi"}),
        json!({"memory": "?"}),
        json!({"sharedMemory": "1Gi"}),
    ]);
    let replicas = prop_oneof![4 => 0..4_i32, 1 => any::<i32>()];
    (model(), engine, accelerator, resources, replicas, proptest::bool::weighted(0.2)).prop_map(
        |(model, engine, accelerator, resources, replicas, suspend)| {
            with(
                json!({"model": model, "replicas": replicas, "suspend": suspend}),
                json!({"engine": engine, "accelerator": accelerator, "resources": resources}),
            )
        },
    )
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let one = (select(SHOWN.to_vec()), -1..17_i64, -1..17_i64, any::<bool>(), any::<bool>());
    proptest::collection::vec(one, 0..4).prop_map(|nodes| {
        let made = nodes.into_iter().enumerate().map(|(at, (shown, count, held, schedulable, tainted))| Node {
            held: [(GPU.to_owned(), held)].into(),
            schedulable,
            taints: if tainted { vec![taint(GPU, "NoSchedule")] } else { Vec::new() },
            ..node(&format!("n{at}"), count, shown)
        });
        made.collect()
    })
}

fn pod() -> impl Strategy<Value = Pod> {
    let trouble = select(vec![
        None,
        Some(Trouble::Image("no".into())),
        Some(Trouble::Configuration("no".into())),
        Some(Trouble::Crashing { exit_code: 1, restarts: 1, message: String::new() }),
    ]);
    let canary = select(vec![None, Some(Canary::Answered), Some(Canary::Failed("no".into()))]);
    let placed = proptest::option::of(Just("n0".to_owned()));
    let stuck = proptest::option::of(select(vec!["Insufficient nvidia.com/gpu".to_owned(), String::new()]));
    (trouble, canary, placed, stuck, any::<bool>(), any::<bool>()).prop_map(
        |(trouble, canary, node, unschedulable, ready, terminating)| Pod {
            node,
            ready,
            terminating,
            unschedulable,
            trouble,
            canary,
            ..serving("chat-0", "some")
        },
    )
}

fn world() -> impl Strategy<Value = Observed> {
    let claim = select(vec![None, Some(Claim::Bound), Some(Claim::Pending), Some(Claim::Lost)]);
    (nodes(), proptest::collection::vec(pod(), 0..4), claim).prop_map(|(nodes, pods, claim)| Observed {
        pods,
        claim,
        ..cluster(nodes)
    })
}

fn workload(plan: &Plan) -> Option<Deployment> {
    child(plan, ChildKind::Deployment).map(|body| typed(&body))
}

fn choice(plan: &Plan) -> Option<(String, String)> {
    let annotations = annotations(&child(plan, ChildKind::Deployment)?);
    Some((annotations[ACCELERATOR].clone(), annotations[PER_REPLICA].clone()))
}

fn bodies(plan: &Plan) -> Vec<Value> {
    plan.resources.iter().flat_map(|resources| &resources.children).map(|child| child.body.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_plan_always_comes_and_is_always_explained(spec in spec(), observed in world()) {
        let plan = plan(&chat(spec), &observed);
        prop_assert!(plan.verdicts.len() >= 6);
        prop_assert!(plan.verdicts.iter().all(|verdict| !verdict.message.is_empty()));
    }

    #[test]
    fn a_plan_that_was_applied_plans_nothing_new(spec in spec(), observed in world()) {
        let deployment = chat(spec);
        let first = plan(&deployment, &observed);
        let after = applied(&observed, &first);
        let second = plan(&deployment, &after);
        prop_assert_eq!(bodies(&first), bodies(&second));
    }

    #[test]
    fn neighbours_that_come_and_go_change_nothing_of_what_runs(
        spec in spec(), observed in world(), held in proptest::collection::vec(0..17_i64, 4),
    ) {
        let deployment = chat(with(spec, json!({"suspend": null})));
        let first = plan(&deployment, &observed);
        let mut after = applied(&observed, &first);
        if let Some(workload) = after.workload.clone() {
            // whichever nodes there are, it sits on another one of the right product
            after.pods = vec![Pod { node: Some("elsewhere".into()), ..pod_of(&workload, "chat-0") }];
            let busy = after.nodes.iter().zip(held).map(|(node, held)| Node { held: [(GPU.to_owned(), held)].into(), ..(**node).clone() });
            after.nodes = busy.map(std::sync::Arc::new).collect();
            prop_assert_eq!(bodies(&first), bodies(&plan(&deployment, &after)));
        }
    }

    #[test]
    fn one_revision_is_on_one_product(spec in spec(), observed in world()) {
        let first = plan(&chat(spec), &observed);
        if let (Some(workload), Some((product, count))) = (workload(&first), choice(&first)) {
            let pod = workload.spec.unwrap().template.spec.unwrap();
            let limits = pod.containers[0].resources.clone().unwrap().limits.unwrap_or_default();
            let counted: Vec<_> = limits.into_iter().filter(|(name, _)| name.contains('/')).collect();
            prop_assert_eq!(counted.len(), usize::from(product != "cpu"));
            prop_assert!(counted.iter().all(|(_, amount)| amount.0 == count));
            prop_assert_eq!(pod.affinity.is_some(), product != "cpu", "only nodes of that product are allowed");
        }
    }

    #[test]
    fn who_wants_nothing_holds_nothing(spec in spec(), observed in world(), suspend in any::<bool>()) {
        let idle = if suspend { json!({"suspend": true}) } else { json!({"replicas": 0}) };
        let plan = plan(&chat(with(spec, idle)), &observed);
        let replicas = workload(&plan).and_then(|workload| workload.spec?.replicas);
        prop_assert!(replicas.is_none_or(|replicas| replicas == 0));
    }
}
