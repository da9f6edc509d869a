//! Deployments, nodes and Pods to decide about.

use std::collections::BTreeMap;
use std::sync::Arc;

use deepseek_core::observed::{Canary, Claim, Node, Observed, Pod, Settings};
use deepseek_core::plan::{Child, ChildKind, Plan, plan};
use deepseek_core::render::REVISION_LABEL;
use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::{ConditionType, Reason};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Taint;
use serde_json::{Value, json};

pub const GPU: &str = "nvidia.com/gpu";
pub const PRODUCT: &str = "nvidia.com/gpu.product";

/// The smallest spec: simulated, on whatever fits.
pub fn simulated() -> Value {
    json!({"model": {"name": "deepseek-r1-distill-qwen-7b"}, "engine": {"type": "Simulator"}})
}

/// llama.cpp with a file on a claim.
pub fn from_claim() -> Value {
    json!({
        "model": {
            "name": "deepseek-r1-distill-qwen-7b",
            "source": {"persistentVolumeClaim": {"claimName": "weights", "path": "r1-7b.gguf"}},
        },
    })
}

/// The same spec with some fields replaced, added or (by null) removed.
pub fn with(mut spec: Value, patch: Value) -> Value {
    merge(&mut spec, patch);
    spec
}

fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in patch {
                match value {
                    Value::Null => drop(target.as_object_mut().and_then(|fields| fields.remove(&key))),
                    value => merge(&mut target[key], value),
                }
            }
        }
        patch => *target = patch,
    }
}

/// A deployment named `chat` in namespace `ai`.
pub fn chat(spec: Value) -> DeepSeekDeployment {
    named("chat", spec)
}

pub fn named(name: &str, spec: Value) -> DeepSeekDeployment {
    let mut deployment = DeepSeekDeployment::new(name, serde_json::from_value(spec).expect("a spec of the API"));
    deployment.metadata.namespace = Some("ai".into());
    deployment.metadata.uid = Some("5b0c0a3e-0000-4000-8000-000000000001".into());
    deployment.metadata.generation = Some(1);
    deployment
}

/// A ready node with so many accelerators of a product.
pub fn node(name: &str, count: i64, product: &str) -> Node {
    Node {
        name: name.into(),
        labels: [(PRODUCT.into(), product.into()), ("kubernetes.io/hostname".into(), name.into())].into(),
        schedulable: true,
        allocatable: [(GPU.into(), count)].into(),
        ..Node::default()
    }
}

pub fn h100s(name: &str, count: i64) -> Node {
    node(name, count, "NVIDIA-H100-80GB-HBM3")
}

/// A ready node without accelerators.
pub fn plain_node(name: &str) -> Node {
    Node { name: name.into(), schedulable: true, ..Node::default() }
}

pub fn taint(key: &str, effect: &str) -> Taint {
    Taint { key: key.into(), effect: effect.into(), ..Taint::default() }
}

/// A Pod with one accelerator on node n1, which the kubelet calls Ready and which answered the canary.
pub fn serving(name: &str, revision: &str) -> Pod {
    Pod {
        name: name.into(),
        revision: revision.into(),
        node: Some("n1".into()),
        held: [(GPU.into(), 1)].into(),
        ready: true,
        canary: Some(Canary::Answered),
        ..Pod::default()
    }
}

/// The same on this node, with so many accelerators.
pub fn serving_on(node: &str, held: i64, name: &str) -> Pod {
    Pod { node: Some(node.into()), held: [(GPU.into(), held)].into(), ..serving(name, "r") }
}

/// A cluster in which nothing runs yet.
pub fn cluster(nodes: impl IntoIterator<Item = Node>) -> Observed {
    Observed {
        now: Timestamp::UNIX_EPOCH,
        nodes: nodes.into_iter().map(Arc::new).collect(),
        watch: Arc::default(),
        claim: Some(Claim::Bound),
        workload: None,
        leads_to: None,
        pods: Vec::new(),
        gateways: Vec::new(),
        scaling: None,
        settings: Arc::new(Settings::default()),
    }
}

/// The same where gateways stand in front of engines.
pub fn with_gateways(observed: Observed) -> Observed {
    let settings = Settings {
        gateway_image: Some("example.org/deepseek-operator:1".into()),
        namespace: "deepseek-system".into(),
        ..Settings::default()
    };
    Observed { settings: Arc::new(settings), ..observed }
}

/// What follows when a plan was applied.
pub fn applied(observed: &Observed, plan: &Plan) -> Observed {
    let workload = child(plan, ChildKind::Deployment).map(|body| typed::<Deployment>(&body));
    Observed { workload, ..observed.clone() }
}

/// The same with as many serving Pods as were planned.
pub fn served(deployment: &DeepSeekDeployment, observed: &Observed) -> Observed {
    let mut observed = applied(observed, &plan(deployment, observed));
    let workload = observed.workload.clone().expect("a Deployment is planned");
    observed.pods = (0..deployment.spec.replicas).map(|n| pod_of(&workload, &format!("chat-{n}"))).collect();
    observed
}

/// A serving Pod that holds what a Deployment's template asks for.
pub fn pod_of(workload: &Deployment, name: &str) -> Pod {
    let template = workload.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let limits =
        template.and_then(|pod| pod.containers.first()?.resources.as_ref()?.limits.clone()).unwrap_or_default();
    let held = limits.into_iter().filter_map(|(resource, amount)| Some((resource, amount.0.parse().ok()?)));
    Pod { held: held.filter(|(resource, _)| resource.contains('/')).collect(), ..serving(name, &revision(workload)) }
}

pub fn revision(workload: &Deployment) -> String {
    let labels = workload.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref()?.labels.clone());
    labels.and_then(|labels| labels.get(REVISION_LABEL).cloned()).expect("Pods are labelled with their revision")
}

/// The object of this kind that has the deployment's own name.
pub fn child(plan: &Plan, kind: ChildKind) -> Option<Value> {
    let children = plan.resources.iter().flat_map(|resources| &resources.children);
    let bears_its_name = |child: &&Child| child.body["metadata"]["labels"]["app.kubernetes.io/instance"] == *child.name;
    children.into_iter().filter(bears_its_name).find(|child| child.kind == kind).map(|child| child.body.clone())
}

pub fn typed<K: serde::de::DeserializeOwned>(body: &Value) -> K {
    serde_json::from_value(body.clone()).expect("what is rendered can be read")
}

/// Why a condition has its status, and what it says.
pub fn verdict(plan: &Plan, condition: ConditionType) -> (Option<bool>, Reason, String) {
    let found = plan.verdicts.iter().find(|verdict| verdict.condition == condition).expect("it is said");
    (found.holds, found.reason, found.message.clone())
}

/// Annotations of a rendered object.
pub fn annotations(body: &Value) -> BTreeMap<String, String> {
    typed(&body["metadata"]["annotations"])
}
