//! Rules of validation which controllers trip over: names, labels, selectors, ports, fixed fields.

use serde_json::Value;

use super::{items, terminating, text};
use crate::kinds::Kind;
use crate::refusal::{Answer, about, invalid};

/// Checks an object that is about to be stored in place of `old`.
///
/// # Errors
/// 422, with the field and what is wrong with it.
pub(super) fn check(kind: &Kind, old: Option<&Value>, new: &Value) -> Answer<()> {
    let name = text(new, "/metadata/name");
    let found = match old {
        Some(old) => check_change(kind, old, new),
        None => check_name(kind, name),
    };
    let found = found.and_then(|()| check_labels(new)).and_then(|()| check_selector(kind, new));
    let found = found.and_then(|()| check_ports(kind, new));
    found.map_err(|wrong| {
        let message = format!("{} \"{name}\" is invalid: {wrong}", kind.kind);
        about(kind, name, invalid(message))
    })
}

type Found = Result<(), String>;

/// Names are DNS subdomains, those of Services and namespaces DNS labels; roles may be called anything.
fn check_name(kind: &Kind, name: &str) -> Found {
    let label = ["Service", "Namespace"].contains(&kind.kind.as_str());
    let longest = if label { 63 } else { 253 };
    let inner = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || (letter == '.' && !label)
    };
    let edge = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    let starts = kind.kind != "Service" || name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let fine = name.len() <= longest
        && name.chars().all(inner)
        && starts
        && edge(name.chars().next())
        && edge(name.chars().last());
    if fine || kind.group.starts_with("rbac.") {
        return Ok(());
    }
    let wanted = if label { "RFC 1123 label" } else { "RFC 1123 subdomain" };
    Err(format!("metadata.name: Invalid value: {name:?}: a lowercase {wanted} of at most {longest} is needed"))
}

/// Labels of the object, of its Pod template, of its selectors.
fn check_labels(object: &Value) -> Found {
    const PLACES: &[&str] = &[
        "/metadata/labels",
        "/spec/template/metadata/labels",
        "/spec/selector/matchLabels",
        "/spec/podSelector/matchLabels",
    ];
    for place in PLACES {
        for (key, value) in object.pointer(place).and_then(Value::as_object).into_iter().flatten() {
            let name = key.rsplit('/').next().unwrap_or_default();
            let value = value.as_str().unwrap_or("not a text!");
            if name.is_empty() || !is_label(name) || !is_label(value) {
                let field = place.trim_start_matches('/').replace('/', ".");
                return Err(format!("{field}: Invalid value: {key}={value}: at most 63 of [A-Za-z0-9._-]"));
            }
        }
    }
    Ok(())
}

fn is_label(text: &str) -> bool {
    let inner = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let edge = |letter: char| letter.is_ascii_alphanumeric();
    text.len() <= 63
        && text.chars().all(inner)
        && text.chars().next().is_none_or(edge)
        && text.chars().last().is_none_or(edge)
}

/// A workload selects its own pods.
fn check_selector(kind: &Kind, object: &Value) -> Found {
    if kind.group != "apps" {
        return Ok(());
    }
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let wanted = object["spec"]["selector"]["matchLabels"].as_object();
    if wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value)) {
        return Ok(());
    }
    Err("spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`".into())
}

/// Names of container ports have at most 15 characters; several ports of a Service need names.
fn check_ports(kind: &Kind, object: &Value) -> Found {
    let pod = if kind.kind == "Pod" { "/spec" } else { "/spec/template/spec" };
    for container in items(object, &format!("{pod}/containers")) {
        let long = items(container, "/ports").iter().map(|port| text(port, "/name")).find(|name| name.len() > 15);
        if let Some(name) = long {
            return Err(format!("{pod}/containers/ports/name: Invalid value: {name:?}: at most 15 characters"));
        }
    }
    let ports = items(object, "/spec/ports");
    let nameless = |port: &Value| text(port, "/name").is_empty();
    if kind.kind == "Service" && ports.len() > 1 && ports.iter().any(nameless) {
        return Err("spec.ports.name: Required value".into());
    }
    Ok(())
}

/// Some fields never change, and what is on its way out gains no finalizer.
fn check_change(kind: &Kind, old: &Value, new: &Value) -> Found {
    for pointer in &kind.fixed {
        let before = old.pointer(pointer);
        if before.is_some() && before != new.pointer(pointer) {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            return Err(format!("{field}: Invalid value: field is immutable"));
        }
    }
    let finalizers = |object| items(object, "/metadata/finalizers");
    if terminating(old) && finalizers(new).iter().any(|name| !finalizers(old).contains(name)) {
        let why = "no new finalizers can be added if the object is being deleted";
        return Err(format!("metadata.finalizers: Forbidden: {why}"));
    }
    Ok(())
}
