//! The scheduler: a node for every pod, or the reason why not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::quantity::thousandths;
use super::{condition, put, put_status};
use crate::cluster::{Cluster, Key, items, terminating, text};
use crate::select::expression_holds;

const WHO: &str = "kube-scheduler";

type Amounts = BTreeMap<String, i128>;

/// One round: every pod without a node, in the order of names.
pub(super) fn act(cluster: &mut Cluster) {
    for (key, pod) in cluster.all_of("pods") {
        let waits = text(&pod, "/spec/nodeName").is_empty() && !terminating(&pod);
        if waits && items(&pod, "/spec/schedulingGates").is_empty() {
            place(cluster, &key, &pod);
        }
    }
}

fn place(cluster: &mut Cluster, key: &Key, pod: &Value) {
    let why_not = match absent_claim(cluster, key, pod) {
        Some(claim) => format!("persistentvolumeclaim \"{claim}\" not found"),
        None => match choose(cluster, pod) {
            Ok(node) => {
                let mut pod = pod.clone();
                pod["spec"]["nodeName"] = json!(node);
                put(cluster, WHO, key, pod).ok();
                return;
            }
            Err(why_not) => why_not,
        },
    };
    let mut status = pod["status"].clone();
    status["phase"] = json!("Pending");
    status["conditions"] = json!([condition("PodScheduled", false, "Unschedulable", &why_not)]);
    put_status(cluster, WHO, key, status);
}

/// Of the nodes which take the pod the one with the fewest of its siblings, the first by name; or what is wrong with each.
fn choose(cluster: &Cluster, pod: &Value) -> Result<String, String> {
    let nodes = cluster.all_of("nodes");
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut fitting = Vec::new();
    for (key, node) in &nodes {
        match obstacle(cluster, pod, &key.name, node) {
            None => fitting.push((siblings(cluster, pod, &key.name), key.name.clone())),
            Some(reason) => *reasons.entry(reason).or_default() += 1,
        }
    }
    if let Some((_, name)) = fitting.into_iter().min() {
        return Ok(name);
    }
    let reasons: Vec<_> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    Err(format!("0/{} nodes are available: {}.", nodes.len(), reasons.join(", ")))
}

/// Pods of the same controller on a node.
fn siblings(cluster: &Cluster, pod: &Value, node: &str) -> usize {
    let controller = |pod: &Value| pod.pointer("/metadata/ownerReferences/0/uid").cloned();
    let ours = controller(pod);
    let there = |(_, other): &(Key, std::sync::Arc<Value>)| {
        text(other, "/spec/nodeName") == node && !terminating(other) && ours.is_some() && controller(other) == ours
    };
    cluster.all_of("pods").iter().filter(|other| there(other)).count()
}

fn obstacle(cluster: &Cluster, pod: &Value, name: &str, node: &Value) -> Option<String> {
    let tolerates = |taint: &Value| {
        taint["effect"] == "PreferNoSchedule"
            || items(pod, "/spec/tolerations").iter().any(|toleration| covers(toleration, taint))
    };
    if node["spec"]["unschedulable"] == json!(true) {
        return Some("node(s) were unschedulable".into());
    }
    if !super::kubelet::is_ready(node) {
        return Some("node(s) were not ready".into());
    }
    if !items(node, "/spec/taints").iter().all(tolerates) {
        return Some("node(s) had untolerated taint(s)".into());
    }
    if !wanted(pod, name, node) {
        return Some("node(s) didn't match Pod's node affinity/selector".into());
    }
    let free = free(cluster, name, node);
    let short = requests(pod).into_iter().find(|(resource, amount)| match free.get(resource) {
        Some(free) => amount > free,
        // A node which does not state its processors or memory has enough of them.
        None => resource.contains('/') && *amount > 0,
    });
    short.map(|(resource, _)| format!("Insufficient {resource}"))
}

fn covers(toleration: &Value, taint: &Value) -> bool {
    let any = |field: &str| toleration[field].as_str().unwrap_or_default().is_empty();
    let key = (any("key") && toleration["operator"] == "Exists") || toleration["key"] == taint["key"];
    let value = toleration["operator"] == "Exists" || text(toleration, "/value") == text(taint, "/value");
    key && value && (any("effect") || toleration["effect"] == taint["effect"])
}

/// Node selector and required node affinity.
fn wanted(pod: &Value, name: &str, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selector = pod["spec"]["nodeSelector"].as_object();
    if !selector.is_none_or(|all| all.iter().all(|(key, value)| labels.get(key) == Some(value))) {
        return false;
    }
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = items(pod, required);
    let fields = json!({"metadata.name": name});
    let holds = |term: &Value| {
        items(term, "/matchExpressions").iter().all(|one| expression_holds(one, labels))
            && items(term, "/matchFields").iter().all(|one| expression_holds(one, &fields))
    };
    terms.is_empty() || terms.iter().any(holds)
}

fn free(cluster: &Cluster, name: &str, node: &Value) -> Amounts {
    let mut free = amounts(&node["status"]["allocatable"]);
    let over = |pod: &Value| ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    for (_, pod) in cluster.all_of("pods") {
        if text(&pod, "/spec/nodeName") == name && !over(&pod) {
            for (resource, amount) in requests(&pod) {
                *free.entry(resource).or_default() -= amount;
            }
        }
    }
    free
}

/// What a pod asks for: the sum of its containers and sidecars, or its largest other init container with the sidecars before it.
fn requests(pod: &Value) -> Amounts {
    let (mut sidecars, mut first) = (Amounts::new(), Amounts::new());
    for container in items(pod, "/spec/initContainers") {
        let now = sum(sidecars.clone(), container);
        if container["restartPolicy"] == "Always" {
            sidecars.clone_from(&now);
        }
        first = largest(first, now);
    }
    largest(first, items(pod, "/spec/containers").iter().fold(sidecars, sum))
}

fn sum(mut total: Amounts, container: &Value) -> Amounts {
    for (resource, amount) in asked(container) {
        *total.entry(resource).or_default() += amount;
    }
    total
}

fn largest(mut one: Amounts, other: Amounts) -> Amounts {
    for (resource, amount) in other {
        let most = one.entry(resource).or_default();
        *most = amount.max(*most);
    }
    one
}

/// Requests, with limits where no request is stated.
fn asked(container: &Value) -> Amounts {
    let mut asked = amounts(&container["resources"]["limits"]);
    asked.extend(amounts(&container["resources"]["requests"]));
    asked
}

fn amounts(resources: &Value) -> Amounts {
    let stated = resources.as_object().into_iter().flatten();
    stated.map(|(resource, quantity)| (resource.clone(), thousandths(quantity))).collect()
}

fn absent_claim(cluster: &Cluster, key: &Key, pod: &Value) -> Option<String> {
    let claims = items(pod, "/spec/volumes").iter().map(|v| text(v, "/persistentVolumeClaim/claimName"));
    let absent = |claim: &&str| {
        let key = Key::new("persistentvolumeclaims", &key.namespace, claim);
        !claim.is_empty() && cluster.get(&key).is_none()
    };
    claims.into_iter().find(absent).map(String::from)
}
