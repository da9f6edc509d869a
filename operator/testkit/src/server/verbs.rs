//! Reading and deleting; the other verbs are in `writes`.

use serde_json::{Value, json};

use super::call::{Call, Target};
use super::{discovery, writes};
use crate::cluster::{Cluster, Deletion, Key};
use crate::kinds::Kind;
use crate::refusal::{Answer, not_found, refusal};
use crate::select::Selector;

/// Carries out a request; watches are not requests of this kind.
pub(crate) fn execute(cluster: &mut Cluster, call: &Call, stale: Option<u64>) -> Answer<(u16, Value)> {
    let Some(target) = &call.target else { return discovery::answer(&cluster.kinds, call) };
    let known = match target.subresource.as_str() {
        "" => true,
        "status" => target.kind.status,
        "scale" => target.kind.scale,
        _ => false,
    };
    if !known {
        return Err(refusal(404, "the server could not find the requested resource"));
    }
    let (code, object) = match call.verb {
        "get" => (200, get(cluster, call, target, stale)?),
        "list" => return Ok((200, list(cluster, call, target, stale)?)),
        "create" | "update" | "patch" => writes::write(cluster, call, target)?,
        "delete" => return delete(cluster, call, target),
        "deletecollection" => return delete_all(cluster, call, target),
        _ => return Err(refusal(405, "the server does not allow this method on the requested resource")),
    };
    Ok((code, seen(call, &target.kind, object)))
}

fn get(cluster: &Cluster, call: &Call, target: &Target, stale: Option<u64>) -> Answer<Value> {
    not_from_the_future(cluster, call.query("resourceVersion"))?;
    let key = target.key();
    let object = match stale {
        None => cluster.get(&key),
        Some(revision) => cluster.as_of(&key.resource, revision).remove(&key),
    };
    let object = object.ok_or_else(|| not_found(&target.kind, &target.name))?;
    Ok(if target.subresource == "scale" { writes::scale_of(&object) } else { (*object).clone() })
}

fn list(cluster: &Cluster, call: &Call, target: &Target, stale: Option<u64>) -> Answer<Value> {
    not_from_the_future(cluster, call.query("resourceVersion"))?;
    let wanted = wanted(call, target)?;
    let token = call.query.get("continue").map(String::as_str);
    let revision = stale.unwrap_or(cluster.revision());
    let limit = call.query("limit").parse().ok();
    let page = cluster.page(&target.kind.resource(), revision, (limit, token), wanted)?;
    let bare = !target.kind.custom && !call.metadata_only;
    let items: Vec<Value> =
        page.items.iter().map(|item| listed(seen(call, &target.kind, (**item).clone()), bare)).collect();
    let (version, kind) = if call.metadata_only {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata".to_owned())
    } else {
        (target.kind.api_version(), target.kind.kind.clone())
    };
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if let Some(next) = page.next {
        metadata["continue"] = json!(next);
        metadata["remainingItemCount"] = json!(page.remaining);
    }
    Ok(json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": metadata, "items": items}))
}

fn delete(cluster: &mut Cluster, call: &Call, target: &Target) -> Answer<(u16, Value)> {
    let how = Deletion::from_options(call.body.as_ref().unwrap_or(&Value::Null));
    let key = target.key();
    let before = cluster.found(&target.kind, &key)?;
    if let Some(object) = cluster.delete(&target.kind, &key, &how)? {
        return Ok((200, seen(call, &target.kind, (*object).clone())));
    }
    let details = json!({
        "name": target.name, "group": target.kind.group, "kind": target.kind.plural,
        "uid": before["metadata"]["uid"],
    });
    let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok((200, done))
}

fn delete_all(cluster: &mut Cluster, call: &Call, target: &Target) -> Answer<(u16, Value)> {
    let how = Deletion::from_options(call.body.as_ref().unwrap_or(&Value::Null));
    let wanted = wanted(call, target)?;
    for (key, object) in cluster.all_of(&target.kind.resource()) {
        if wanted(&key, &object) && cluster.get(&key).is_some() {
            cluster.delete(&target.kind, &key, &how)?;
        }
    }
    Ok((200, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
}

/// Which objects of its resource a list, a watch or a deletion means.
pub(super) fn wanted(call: &Call, target: &Target) -> Answer<impl Fn(&Key, &Value) -> bool + Send + use<>> {
    let selector = Selector::parse(call.query("labelSelector"), call.query("fieldSelector"))?;
    let namespace = target.namespace.clone();
    Ok(move |key: &Key, object: &Value| {
        (namespace.is_empty() || key.namespace == namespace) && selector.matches(object)
    })
}

/// The object as the client asked to see it.
pub(super) fn seen(call: &Call, kind: &Kind, object: Value) -> Value {
    if !call.metadata_only || object["kind"] != kind.kind {
        return object;
    }
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"],
    })
}

/// Items of a list of built-in objects come without their type.
fn listed(mut item: Value, bare: bool) -> Value {
    if let (true, Some(fields)) = (bare, item.as_object_mut()) {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    item
}

/// A server never waits for a revision which it has not reached.
fn not_from_the_future(cluster: &Cluster, revision: &str) -> Answer<()> {
    match revision.parse::<u64>() {
        Ok(wanted) if wanted > cluster.revision() => {
            let message = format!("Too large resource version: {wanted}, current: {}", cluster.revision());
            Err(refusal(504, message))
        }
        _ => Ok(()),
    }
}
