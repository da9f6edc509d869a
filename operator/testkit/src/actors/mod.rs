//! The rest of Kubernetes, as far as an operator leans on it: optional, deterministic, synchronous.
//!
//! | file | plays |
//! |---|---|
//! | `deployments` | the Deployment controller: replica sets, roll-outs, status |
//! | `replicasets` | the ReplicaSet controller: pods |
//! | `scheduler` | the scheduler: nodes for pods, or the reason why not |
//! | `kubelet` | kubelets, the volume binder and the collector of pods without nodes |
//! | `quantity` | Kubernetes quantities as numbers |

mod deployments;
mod kubelet;
mod quantity;
mod replicasets;
mod scheduler;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::apply::Author;
use crate::cluster::{Cluster, Key, Part, Write, items};
use crate::refusal::Answer;
use crate::state::State;

type Choice = Box<dyn Fn(&Value) -> bool + Send>;

/// How the actors play.
#[derive(Default)]
pub(crate) struct Actors {
    /// They play after every write of a client; otherwise on command only.
    pub(crate) automatic: bool,
    /// Pods which run but never become ready.
    pub(crate) unready: Vec<Choice>,
    /// Nodes without power: nothing there starts, ends or reports.
    pub(crate) dark: BTreeSet<String>,
}

/// More rounds than any scene needs; beyond this two actors undo each other's work.
const ROUNDS: usize = 500;

impl State {
    /// One round: every actor once. True if something changed.
    pub(crate) fn step(&mut self) -> bool {
        let before = self.cluster.revision();
        let cluster = &mut self.cluster;
        kubelet::bind_claims(cluster);
        deployments::act(cluster);
        replicasets::act(cluster);
        scheduler::act(cluster);
        kubelet::act(cluster, &self.actors);
        cluster.revision() != before
    }

    /// Rounds until nothing changes.
    pub(crate) fn settle(&mut self) {
        let rounds = (0..ROUNDS).take_while(|_| self.step()).count();
        assert!(rounds < ROUNDS, "the actors did not settle within {ROUNDS} rounds");
    }
}

/// Stores an object as an actor sees fit, status included.
fn put(cluster: &mut Cluster, who: &str, key: &Key, object: Value) -> Answer<()> {
    let Some(kind) = cluster.kinds.by_resource(&key.resource) else { return Ok(()) };
    let write = Write { kind, key: key.clone(), part: Part::Whole, author: Author::updating(who) };
    match cluster.get(key) {
        // what changes nothing is not even sent
        Some(stored) if *stored == object => {}
        Some(_) => drop(cluster.replace(&write, object)?),
        None => drop(cluster.create(&write, object)?),
    }
    Ok(())
}

/// Sets the status of an object; its transition times move only where a condition changed.
fn put_status(cluster: &mut Cluster, who: &str, key: &Key, mut status: Value) {
    let Some(object) = cluster.get(key) else { return };
    let now = cluster.timestamp();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let before = items(&object, "/status/conditions").iter().find(|old| old["type"] == condition["type"]);
        let same = before.filter(|old| old["status"] == condition["status"]);
        condition["lastTransitionTime"] = same.map_or_else(|| json!(now), |old| old["lastTransitionTime"].clone());
    }
    let mut object = (*object).clone();
    object["status"] = status;
    // A refusal by an admission hook leaves the status as it is, as it would for a real controller.
    put(cluster, who, key, object).ok();
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": if holds { "True" } else { "False" }, "reason": reason, "message": message})
}

/// The controller reference of a child.
fn owned_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}

fn controlled_by(object: &Value, owner: &Value) -> bool {
    items(object, "/metadata/ownerReferences")
        .iter()
        .any(|reference| reference["controller"] == json!(true) && reference["uid"] == owner["metadata"]["uid"])
}

fn count(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = items(object, "/status/conditions");
    conditions.iter().any(|found| found["type"] == condition && found["status"] == "True")
}
