//! The Deployment controller: one replica set per template, roll-outs within surge and unavailability.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{condition, controlled_by, count, owned_by, put, put_status};
use crate::cluster::{Cluster, Key, items, terminating, text};

const WHO: &str = "deployment-controller";

/// One round for every Deployment.
pub(super) fn act(cluster: &mut Cluster) {
    for (key, deployment) in cluster.all_of("deployments.apps") {
        if !terminating(&deployment) && deployment["spec"]["paused"] != json!(true) {
            roll(cluster, &key, &deployment);
        }
    }
}

fn roll(cluster: &mut Cluster, key: &Key, deployment: &Value) {
    let current = current_set(cluster, key, deployment);
    let sets: Vec<(Key, Arc<Value>)> =
        cluster.all_of("replicasets.apps").into_iter().filter(|(_, set)| controlled_by(set, deployment)).collect();
    let (new, old): (Vec<_>, Vec<_>) = sets.into_iter().partition(|(key, _)| *key == current);
    let Some((_, new)) = new.first() else { return };
    let old_sets: Vec<&Value> = old.iter().map(|(_, set)| &**set).collect();
    let pace = Pace::of(deployment);
    scale(cluster, &current, new, pace.raised(new, &old_sets));
    for ((key, set), wanted) in old.iter().zip(pace.lowered(new, &old_sets)) {
        scale(cluster, key, set, wanted);
    }
    report(cluster, key, deployment, &pace, &current);
}

/// The replica set of the present template, made if it is absent.
fn current_set(cluster: &mut Cluster, key: &Key, deployment: &Value) -> Key {
    let template = &deployment["spec"]["template"];
    let hash = format!("{:08x}", fnv(&template.to_string()));
    let set = Key::new("replicasets.apps", &key.namespace, &format!("{}-{hash}", key.name));
    if cluster.get(&set).is_none() {
        let mut selector = deployment["spec"]["selector"].clone();
        selector["matchLabels"]["pod-template-hash"] = json!(hash);
        let mut template = template.clone();
        template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": set.name, "namespace": set.namespace, "labels": template["metadata"]["labels"],
                "ownerReferences": owned_by(deployment),
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        });
        put(cluster, WHO, &set, object).ok();
    }
    set
}

/// How fast a roll-out may go.
struct Pace {
    replicas: i64,
    surge: i64,
    unavailable: i64,
    recreate: bool,
}

impl Pace {
    fn of(deployment: &Value) -> Self {
        let replicas = count(deployment, "/spec/replicas");
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        let surge = share(&rolling["maxSurge"], replicas, true);
        let unavailable = share(&rolling["maxUnavailable"], replicas, false);
        // As the real controller: both zero would never get anywhere.
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
        let recreate = deployment["spec"]["strategy"]["type"] == "Recreate";
        Self { replicas, surge, unavailable, recreate }
    }

    /// How many replicas the new set may have now.
    fn raised(&self, new: &Value, old: &[&Value]) -> i64 {
        let (now, others): (_, i64) = (wanted(new), old.iter().map(|set| wanted(set)).sum());
        if self.recreate {
            let running: i64 = old.iter().map(|set| count(set, "/status/replicas") + wanted(set)).sum();
            return if running == 0 { self.replicas } else { now };
        }
        let room = (self.replicas + self.surge - now - others).max(0);
        if now >= self.replicas { self.replicas } else { (now + room).min(self.replicas) }
    }

    /// How many replicas each old set keeps: broken ones go first, the rest as the new set gets ready.
    fn lowered(&self, new: &Value, old: &[&Value]) -> Vec<i64> {
        if self.recreate {
            return vec![0; old.len()];
        }
        let total: i64 = wanted(new) + old.iter().map(|set| wanted(set)).sum::<i64>();
        let available: i64 = ready(new) + old.iter().map(|set| ready(set)).sum::<i64>();
        let floor = self.replicas - self.unavailable;
        let mut spare = (total - floor - (wanted(new) - ready(new)).max(0)).max(0);
        let mut healthy_spare = (available - floor).max(0);
        let keep = |set: &&Value| {
            let broken = (wanted(set) - ready(set)).clamp(0, spare);
            let healthy = ready(set).min(wanted(set)).min(spare - broken).min(healthy_spare).max(0);
            spare -= broken + healthy;
            healthy_spare -= healthy;
            wanted(set) - broken - healthy
        };
        old.iter().map(keep).collect()
    }
}

fn wanted(set: &Value) -> i64 {
    count(set, "/spec/replicas")
}

fn ready(set: &Value) -> i64 {
    count(set, "/status/readyReplicas")
}

fn scale(cluster: &mut Cluster, key: &Key, set: &Value, replicas: i64) {
    if wanted(set) != replicas {
        let mut set = set.clone();
        set["spec"]["replicas"] = json!(replicas);
        put(cluster, WHO, key, set).ok();
    }
}

fn report(cluster: &mut Cluster, key: &Key, deployment: &Value, pace: &Pace, current: &Key) {
    let sets: Vec<_> =
        cluster.all_of("replicasets.apps").into_iter().filter(|(_, set)| controlled_by(set, deployment)).collect();
    let sum = |field: &str| -> i64 { sets.iter().map(|(_, set)| count(set, field)).sum() };
    let updated = cluster.get(current).map_or(0, |set| count(&set, "/status/replicas"));
    let (total, ready) = (sum("/status/replicas"), sum("/status/readyReplicas"));
    let available = ready >= pace.replicas - pace.unavailable;
    let complete = updated == pace.replicas && total == updated && ready >= updated;
    let mut conditions = vec![
        condition(
            "Available",
            available,
            if available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" },
            "",
        ),
        condition("Progressing", true, if complete { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" }, ""),
    ];
    let failure = |(_, set): &(Key, Arc<Value>)| {
        items(set, "/status/conditions").iter().find(|found| found["type"] == "ReplicaFailure").cloned()
    };
    conditions.extend(
        sets.iter()
            .find_map(failure)
            .map(|found| condition("ReplicaFailure", true, text(&found, "/reason"), text(&found, "/message"))),
    );
    let status = json!({
        "observedGeneration": deployment["metadata"]["generation"], "replicas": total,
        "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready,
        "unavailableReplicas": (pace.replicas - ready).max(0), "conditions": conditions,
    });
    put_status(cluster, WHO, key, status);
}

/// A number or a percentage of the replicas.
fn share(value: &Value, replicas: i64, up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            (percent * replicas + if up { 99 } else { 0 }) / 100
        }
        _ => 0,
    }
}

/// FNV-1a: a hash that stays the same for ever.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
