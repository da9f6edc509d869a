//! What a world looks like, without what differs from run to run.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::cluster::{Key, UID_STEM, text};

/// All objects of a world, normalised: no resourceVersion, UID, generation, manager, address or time.
///
/// UIDs are replaced by what they name, so a dangling reference still shows; `observedGeneration` by how
/// far it lags behind. Events and Leases are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot(BTreeMap<String, Value>);

/// Resources which tell of the run, not of its result.
const PASSING: &[&str] = &["events", "events.events.k8s.io", "leases.coordination.k8s.io"];

impl Snapshot {
    pub(crate) fn of<'a>(objects: impl Iterator<Item = (&'a Key, &'a Value)> + Clone) -> Self {
        let names: BTreeMap<&str, String> =
            objects.clone().map(|(key, object)| (text(object, "/metadata/uid"), place(key))).collect();
        let lasting = objects.filter(|(key, _)| !PASSING.contains(&key.resource.as_str()));
        Self(lasting.map(|(key, object)| (place(key), normalised(object, &names))).collect())
    }

    /// The objects, by `resource/namespace/name`.
    pub fn objects(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The same, of some resources only (`deployments.apps`, `pods`).
    #[must_use]
    pub fn only(&self, resources: &[&str]) -> Self {
        self.kept(|resource| resources.contains(&resource))
    }

    /// The same, without some resources.
    #[must_use]
    pub fn without(&self, resources: &[&str]) -> Self {
        self.kept(|resource| !resources.contains(&resource))
    }

    fn kept(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let resource = |place: &str| place.split('/').next().unwrap_or_default().to_owned();
        Self(self.0.iter().filter(|(p, _)| wanted(&resource(p))).map(|(p, o)| (p.clone(), o.clone())).collect())
    }

    /// What differs, a line for each field; empty if nothing does.
    pub fn difference(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        for place in self.0.keys().chain(other.0.keys().filter(|place| !self.0.contains_key(*place))) {
            compare(place, self.0.get(place), other.0.get(place), &mut lines);
        }
        lines.join("\n")
    }

    /// Panics with the difference if there is any.
    ///
    /// # Panics
    /// When the snapshots differ.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let difference = self.difference(other);
        assert!(difference.is_empty(), "the worlds differ:\n{difference}");
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(place, object)| writeln!(formatter, "{place}\n{object:#}"))
    }
}

fn place(key: &Key) -> String {
    let namespace = if key.namespace.is_empty() { "-" } else { &key.namespace };
    format!("{}/{namespace}/{}", key.resource, key.name)
}

fn compare(place: &str, left: Option<&Value>, right: Option<&Value>, lines: &mut Vec<String>) {
    match (left, right) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                compare(&format!("{place} .{name}"), a.get(name), b.get(name), lines);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for at in 0..a.len().max(b.len()) {
                compare(&format!("{place} [{at}]"), a.get(at), b.get(at), lines);
            }
        }
        (Some(a), Some(b)) if a == b => {}
        (a, b) => {
            let shown = |value: Option<&Value>| value.map_or_else(|| "(absent)".to_owned(), Value::to_string);
            lines.push(format!("{place}: {} ≠ {}", shown(a), shown(b)));
        }
    }
}

fn normalised(object: &Value, names: &BTreeMap<&str, String>) -> Value {
    const RECORD: &[&str] = &["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"];
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| !RECORD.contains(&name.as_str()));
    }
    masked("", object, generation, names)
}

fn masked(field: &str, value: Value, generation: Option<i64>, names: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::Object(fields) => {
            let inner = |(name, value): (String, Value)| {
                let value = masked(&name, value, generation, names);
                (name, value)
            };
            Value::Object(fields.into_iter().map(inner).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(|item| masked(field, item, generation, names)).collect(),
        Value::Number(observed) if field == "observedGeneration" => {
            json!(format!("{} behind", generation.unwrap_or(0) - observed.as_i64().unwrap_or(0)))
        }
        Value::String(text) => json!(spoken(field, &text, names)),
        other => other,
    }
}

fn spoken(field: &str, text: &str, names: &BTreeMap<&str, String>) -> String {
    if ["podIP", "ip", "hostIP", "clusterIP"].contains(&field) && text != "None" && !text.is_empty() {
        return "<address>".into();
    }
    if text.len() >= 20 && text.parse::<Timestamp>().is_ok() {
        return "<time>".into();
    }
    let mut text = text.to_owned();
    while let Some(at) = text.find(UID_STEM) {
        let end = (at + UID_STEM.len() + 12).min(text.len());
        let owner = names.get(&text[at..end]).map_or("nobody", String::as_str);
        text = format!("{}<uid of {owner}>{}", &text[..at], &text[end..]);
    }
    text
}
