//! What the server fills in for a client that did not say: enough to trip who compares whole objects.

use serde_json::{Value, json};

use super::{Cluster, Part, Write};

impl Cluster {
    /// Fills in defaults. They belong to nobody, so an apply that leaves them out keeps them.
    pub(super) fn default(&self, write: &Write, new: &mut Value, old: Option<&Value>) {
        if write.part == Part::Status {
            return;
        }
        match write.kind.kind.as_str() {
            "Deployment" => workload(new, true),
            "ReplicaSet" => workload(new, false),
            "Service" => self.service(new, old),
            "PersistentVolumeClaim" if old.is_none() => fill(new, "status", json!({"phase": "Pending"})),
            "Pod" if old.is_none() => {
                fill(new, "status", json!({"phase": "Pending"}));
                containers(&mut new["spec"]);
                requests(&mut new["spec"]);
            }
            "Namespace" if old.is_none() => fill(new, "status", json!({"phase": "Active"})),
            _ => {}
        }
    }

    /// A Service keeps its address for life.
    fn service(&self, new: &mut Value, old: Option<&Value>) {
        let spec = &mut new["spec"];
        fill(spec, "type", json!("ClusterIP"));
        if let Some(before) = old.and_then(|old| old.pointer("/spec/clusterIP")) {
            fill(spec, "clusterIP", before.clone());
        }
        let number = self.births + 1;
        fill(spec, "clusterIP", json!(format!("10.96.{}.{}", number / 250 % 250, number % 250 + 1)));
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            fill(port, "protocol", json!("TCP"));
            let number = port["port"].clone();
            fill(port, "targetPort", number);
        }
    }
}

fn workload(new: &mut Value, deployment: bool) {
    let spec = &mut new["spec"];
    fill(spec, "replicas", json!(1));
    if deployment {
        fill(spec, "revisionHistoryLimit", json!(10));
        fill(spec, "progressDeadlineSeconds", json!(600));
        fill(spec, "strategy", json!({"type": "RollingUpdate"}));
        if spec["strategy"]["type"] == "RollingUpdate" {
            fill(&mut spec["strategy"], "rollingUpdate", json!({}));
            fill(&mut spec["strategy"]["rollingUpdate"], "maxSurge", json!("25%"));
            fill(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", json!("25%"));
        }
    }
    containers(&mut spec["template"]["spec"]);
}

fn containers(pod: &mut Value) {
    if !pod.is_object() {
        return;
    }
    fill(pod, "restartPolicy", json!("Always"));
    fill(pod, "terminationGracePeriodSeconds", json!(30));
    for list in ["containers", "initContainers"] {
        for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            fill(container, "imagePullPolicy", json!("IfNotPresent"));
            fill(container, "terminationMessagePath", json!("/dev/termination-log"));
            for amounts in ["limits", "requests"] {
                let amounts = container.pointer_mut(&format!("/resources/{amounts}")).and_then(Value::as_object_mut);
                amounts.into_iter().flat_map(|all| all.values_mut()).for_each(canonical);
            }
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                fill(port, "protocol", json!("TCP"));
            }
        }
    }
}

/// Quantities come back in the server's spelling: `1024Mi` as `1Gi`, `0.5` as `500m`, `1000m` as `1`.
fn canonical(amount: &mut Value) {
    const BINARY: [&str; 5] = ["Ki", "Mi", "Gi", "Ti", "Pi"];
    let Some(text) = amount.as_str() else { return };
    let split = text.find(char::is_alphabetic).unwrap_or(text.len());
    let (Ok(number), mut suffix) = (text[..split].parse::<f64>(), &text[split..]) else { return };
    let mut number = number;
    while number.fract() != 0.0 && suffix.is_empty() {
        (number, suffix) = (number * 1000.0, "m");
    }
    if suffix == "m" && number % 1000.0 == 0.0 {
        (number, suffix) = (number / 1000.0, "");
    }
    while let Some(at) = BINARY.iter().position(|unit| *unit == suffix) {
        if number.fract() != 0.0 && at > 0 {
            (number, suffix) = (number * 1024.0, BINARY[at - 1]);
        } else if number != 0.0 && number % 1024.0 == 0.0 && at + 1 < BINARY.len() {
            (number, suffix) = (number / 1024.0, BINARY[at + 1]);
        } else {
            break;
        }
    }
    *amount = json!(format!("{number}{suffix}"));
}

/// A container of a Pod asks for what it is limited to, where it does not say.
fn requests(pod: &mut Value) {
    for list in ["containers", "initContainers"] {
        for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let limits = container["resources"]["limits"].as_object().cloned().unwrap_or_default();
            for (resource, amount) in limits {
                fill(&mut container["resources"]["requests"], &resource, amount);
            }
        }
    }
}

fn fill(object: &mut Value, field: &str, value: Value) {
    if object.is_null() {
        *object = json!({});
    }
    if let Some(fields) = object.as_object_mut() {
        fields.entry(field).or_insert(value);
    }
}
