//! The ReplicaSet controller: as many pods as wanted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{condition, controlled_by, count, is_true, owned_by, put, put_status};
use crate::cluster::{Cluster, Deletion, Key, terminating, text};

const WHO: &str = "replicaset-controller";

/// One round for every ReplicaSet.
pub(super) fn act(cluster: &mut Cluster) {
    for (key, set) in cluster.all_of("replicasets.apps") {
        if !terminating(&set) {
            let failure = fill(cluster, &key, &set);
            report(cluster, &key, &set, failure);
        }
    }
}

/// Makes or deletes pods; returns why it could not.
fn fill(cluster: &mut Cluster, key: &Key, set: &Value) -> Option<String> {
    let mut pods = active(cluster, set);
    let wanted = usize::try_from(count(set, "/spec/replicas")).unwrap_or(0);
    // The last to go are ready ones with low numbers.
    pods.sort_by_key(|(key, pod)| (!is_true(pod, "Ready"), key.name.len(), key.name.clone()));
    let kind = cluster.kinds.by_resource("pods")?;
    for (pod, _) in pods.iter().skip(wanted) {
        cluster.delete(&kind, pod, &Deletion::default()).ok();
    }
    for _ in pods.len()..wanted {
        if let Err(refusal) = add(cluster, key, set) {
            return Some(refusal.message);
        }
    }
    None
}

fn add(cluster: &mut Cluster, key: &Key, set: &Value) -> crate::refusal::Answer<()> {
    let named = |number: usize| Key::new("pods", &key.namespace, &format!("{}-{number}", key.name));
    let mut free = (0..).map(named).filter(|pod| cluster.get(pod).is_none());
    let Some(pod) = free.next() else { return Ok(()) };
    drop(free);
    let template = &set["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    metadata["name"] = json!(pod.name);
    metadata["namespace"] = json!(pod.namespace);
    metadata["ownerReferences"] = owned_by(set);
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
    put(cluster, WHO, &pod, object)
}

fn active(cluster: &Cluster, set: &Value) -> Vec<(Key, Arc<Value>)> {
    let over = |pod: &Value| ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    let active = |pod: &Value| controlled_by(pod, set) && !terminating(pod) && !over(pod);
    cluster.all_of("pods").into_iter().filter(|(_, pod)| active(pod)).collect()
}

fn report(cluster: &mut Cluster, key: &Key, set: &Value, failure: Option<String>) {
    let pods = active(cluster, set);
    let ready = pods.iter().filter(|(_, pod)| is_true(pod, "Ready")).count();
    let conditions: Vec<Value> =
        failure.map(|message| condition("ReplicaFailure", true, "FailedCreate", &message)).into_iter().collect();
    let status = json!({
        "observedGeneration": set["metadata"]["generation"], "replicas": pods.len(),
        "readyReplicas": ready, "availableReplicas": ready, "conditions": conditions,
    });
    put_status(cluster, WHO, key, status);
}
