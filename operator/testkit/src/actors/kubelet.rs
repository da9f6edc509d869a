//! Kubelets, the volume binder, and the collector of pods whose node is gone.

use serde_json::{Value, json};

use super::{Actors, condition, is_true, put_status};
use crate::cluster::{Cluster, Key, items, terminating, text};

const WHO: &str = "kubelet";

/// One round for every pod that has a node.
pub(super) fn act(cluster: &mut Cluster, actors: &Actors) {
    for (key, pod) in cluster.all_of("pods") {
        let name = text(&pod, "/spec/nodeName");
        if name.is_empty() || actors.dark.contains(name) {
            continue;
        }
        match cluster.get(&Key::new("nodes", "", name)) {
            None => cluster.erase(&key),
            Some(node) if !is_ready(&node) => lose_sight(cluster, &key, &pod),
            Some(_) if terminating(&pod) => finish(cluster, &key, &pod),
            Some(_) => run(cluster, &key, &pod, actors),
        }
    }
}

/// Binds every claim that waits, as a storage class with immediate binding does.
pub(super) fn bind_claims(cluster: &mut Cluster) {
    for (key, claim) in cluster.all_of("persistentvolumeclaims") {
        if claim["status"]["phase"] == "Pending" {
            let capacity = claim["spec"]["resources"]["requests"].clone();
            let modes = claim["spec"]["accessModes"].clone();
            let status = json!({"phase": "Bound", "capacity": capacity, "accessModes": modes});
            put_status(cluster, "volume-binder", &key, status);
        }
    }
}

/// Whether a node says it is ready; a node which says nothing is.
pub(super) fn is_ready(node: &Value) -> bool {
    let stated = items(node, "/status/conditions").iter().any(|condition| condition["type"] == "Ready");
    !stated || is_true(node, "Ready")
}

/// The node is silent: its pods are no longer ready, and nobody ends those which should go.
fn lose_sight(cluster: &mut Cluster, key: &Key, pod: &Value) {
    if is_true(pod, "Ready") {
        let mut status = pod["status"].clone();
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            if condition["type"] == "Ready" {
                condition["status"] = json!("False");
            }
        }
        put_status(cluster, "node-controller", key, status);
    }
}

fn finish(cluster: &mut Cluster, key: &Key, pod: &Value) {
    if items(pod, "/metadata/finalizers").is_empty() {
        cluster.erase(key);
    }
}

fn run(cluster: &mut Cluster, key: &Key, pod: &Value, actors: &Actors) {
    if ["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
        return;
    }
    let ready = !actors.unready.iter().any(|chosen| chosen(pod));
    let address = address(pod);
    let started = match &pod["status"]["startTime"] {
        Value::Null => json!(cluster.timestamp()),
        time => time.clone(),
    };
    let because = if ready { "" } else { "ContainersNotReady" };
    let status = json!({
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "startTime": started,
        "observedGeneration": pod["metadata"]["generation"],
        "conditions": [
            condition("PodScheduled", true, "", ""),
            condition("Initialized", true, "", ""),
            condition("ContainersReady", ready, because, ""),
            condition("Ready", ready, because, ""),
        ],
        "initContainerStatuses": statuses(items(pod, "/spec/initContainers"), |_| {
            json!({"terminated": {"exitCode": 0, "reason": "Completed"}})
        }, true),
        "containerStatuses": statuses(items(pod, "/spec/containers"), |_| {
            json!({"running": {"startedAt": started}})
        }, ready),
    });
    put_status(cluster, WHO, key, status);
}

fn statuses(containers: &[Value], state: impl Fn(&Value) -> Value, ready: bool) -> Vec<Value> {
    let status = |container: &Value| {
        json!({
            "name": container["name"], "image": container["image"], "imageID": container["image"],
            "ready": ready, "started": true, "restartCount": 0, "state": state(container),
        })
    };
    containers.iter().map(status).collect()
}

/// An address of its own for every pod, from the number in its UID.
fn address(pod: &Value) -> String {
    let number = text(pod, "/metadata/uid").rsplit('-').next().unwrap_or_default();
    let number = u64::from_str_radix(number, 16).unwrap_or(0);
    format!("10.244.{}.{}", number / 250 % 250, number % 250 + 1)
}
