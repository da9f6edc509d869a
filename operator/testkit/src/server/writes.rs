//! Create, update, the patches, and the scale of things.

use serde_json::{Value, json};

use super::call::{Call, Target};
use super::shape;
use crate::apply::{Author, Operation};
use crate::cluster::{Cluster, Part, Write, text};
use crate::patch;
use crate::refusal::{Answer, about, invalid, refusal};

/// Carries out a create, update or patch; a dry run leaves no trace.
pub(super) fn write(cluster: &mut Cluster, call: &Call, target: &Target) -> Answer<(u16, Value)> {
    if call.query("dryRun") == "All" {
        return written(&mut cluster.clone(), call, target);
    }
    written(cluster, call, target)
}

fn written(cluster: &mut Cluster, call: &Call, target: &Target) -> Answer<(u16, Value)> {
    let body = call.body.clone().ok_or_else(|| refusal(400, "the body is not JSON"))?;
    if call.content_type != "application/json-patch+json" && target.subresource != "scale" {
        shape::check(&target.kind, &body, call.query("fieldValidation") == "Strict")?;
    }
    match call.verb {
        "create" => Ok((201, create(cluster, call, target, body)?)),
        "update" => Ok((200, update(cluster, call, target, body)?)),
        _ => patched(cluster, call, target, body),
    }
}

fn create(cluster: &mut Cluster, call: &Call, target: &Target, mut body: Value) -> Answer<Value> {
    let mut target = target.clone();
    check_place(&target, &body)?;
    target.name = text(&body, "/metadata/name").into();
    if target.name.is_empty() {
        let stem = text(&body, "/metadata/generateName");
        target.name = format!("{stem}{:05}", cluster.revision());
        if stem.is_empty() {
            return Err(invalid("metadata.name: Required value: name or generateName is required"));
        }
        body["metadata"]["name"] = json!(target.name);
    }
    if !text(&body, "/metadata/resourceVersion").is_empty() {
        return Err(refusal(500, "resourceVersion should not be set on objects to be created"));
    }
    let write = order(call, &target, Operation::Update);
    cluster.create(&write, body)
}

fn update(cluster: &mut Cluster, call: &Call, target: &Target, body: Value) -> Answer<Value> {
    if target.subresource == "scale" {
        return rescale(cluster, call, target, &body);
    }
    check_place(target, &body)?;
    cluster.found(&target.kind, &target.key())?;
    if target.kind.custom && text(&body, "/metadata/resourceVersion").is_empty() {
        let message = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
        return Err(about(&target.kind, &target.name, invalid(message)));
    }
    cluster.replace(&order(call, target, Operation::Update), body)
}

fn patched(cluster: &mut Cluster, call: &Call, target: &Target, body: Value) -> Answer<(u16, Value)> {
    let media = call.content_type.split(';').next().unwrap_or_default();
    if media == "application/apply-patch+yaml" {
        return applied(cluster, call, target, body);
    }
    let scale = target.subresource == "scale";
    let stored = cluster.found(&target.kind, &target.key())?;
    let old = if scale { scale_of(&stored) } else { (*stored).clone() };
    let new = match media {
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => patch::merged(&old, &body),
        "application/json-patch+json" => patch::operated(&old, &body)?,
        other => return Err(refusal(415, format!("the body of the request was in an unknown format: {other}"))),
    };
    if scale {
        return Ok((200, rescale(cluster, call, target, &new)?));
    }
    Ok((200, cluster.replace(&order(call, target, Operation::Update), new)?))
}

fn applied(cluster: &mut Cluster, call: &Call, target: &Target, body: Value) -> Answer<(u16, Value)> {
    if call.query("fieldManager").is_empty() {
        let message = "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch";
        return Err(refusal(422, message));
    }
    if target.subresource == "scale" {
        return Ok((200, rescale(cluster, call, target, &body)?));
    }
    check_place(target, &body)?;
    if text(&body, "/kind") != target.kind.kind || text(&body, "/apiVersion") != target.kind.api_version() {
        return Err(refusal(400, "the applied object must say its apiVersion and kind, as on the URL"));
    }
    let code = if cluster.get(&target.key()).is_some() { 200 } else { 201 };
    let force = call.query("force") == "true";
    Ok((code, cluster.apply(&order(call, target, Operation::Apply), body, force)?))
}

/// `autoscaling/v1` Scale of an object.
pub(super) fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let selector = match &object["status"]["selector"] {
        Value::Null => labels_of(&object["spec"]["selector"]["matchLabels"]),
        stated => stated.clone(),
    };
    // Kubernetes leaves a number of none out
    let replicas = object["spec"]["replicas"].as_i64().filter(|replicas| *replicas != 0);
    let spec = replicas.map_or_else(|| json!({}), |replicas| json!({"replicas": replicas}));
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": spec,
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0), "selector": selector},
    })
}

fn rescale(cluster: &mut Cluster, call: &Call, target: &Target, scale: &Value) -> Answer<Value> {
    let mut object = (*cluster.found(&target.kind, &target.key())?).clone();
    object["spec"]["replicas"] = json!(scale["spec"]["replicas"].as_i64().unwrap_or(0));
    if let Some(wanted) = scale["metadata"].get("resourceVersion").filter(|wanted| !wanted.is_null()) {
        object["metadata"]["resourceVersion"] = wanted.clone();
    }
    let written = cluster.replace(&order(call, target, Operation::Update), object)?;
    Ok(scale_of(&written))
}

fn labels_of(labels: &Value) -> Value {
    let pairs = labels.as_object().into_iter().flatten();
    json!(pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(","))
}

fn order(call: &Call, target: &Target, operation: Operation) -> Write {
    let manager = call.query.get("fieldManager").unwrap_or(&call.user);
    Write {
        kind: target.kind.clone(),
        key: target.key(),
        part: if target.subresource == "status" { Part::Status } else { Part::Main },
        author: Author { name: manager.clone(), operation, subresource: target.subresource.clone() },
    }
}

fn check_place(target: &Target, body: &Value) -> Answer<()> {
    if target.kind.namespaced == target.namespace.is_empty() {
        return Err(refusal(405, "the server does not allow this method on the requested resource"));
    }
    let said = text(body, "/metadata/namespace");
    if !said.is_empty() && said != target.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(refusal(400, message));
    }
    let kind = text(body, "/kind");
    if !kind.is_empty() && kind != target.kind.kind {
        return Err(refusal(400, format!("the object has kind {kind}, the URL {}", target.kind.kind)));
    }
    Ok(())
}
