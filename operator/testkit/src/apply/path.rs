//! The way to a field, and the fields of an object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::keys::{ListKind, MergeKeys, key_of};

/// One step on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Into a field of an object.
    Field(String),
    /// Into the item of a keyed list, by its key.
    Item(String),
    /// To a member of a set.
    Member(String),
}

/// The way from the root of an object to a field.
pub(crate) type Path = Vec<Step>;

/// The leaves of a value: each way with what lies there; an item of a list also stands for itself.
pub(crate) fn leaves(value: &Value, keys: &MergeKeys) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    gather(value, &mut Vec::new(), keys, &mut found);
    found
}

fn gather(value: &Value, way: &mut Path, keys: &MergeKeys, found: &mut BTreeMap<Path, Value>) {
    let field = match way.last() {
        Some(Step::Field(field)) => field.clone(),
        _ => String::new(),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() && !MergeKeys::atomic_object(&field) => {
            gather_fields(fields, way, keys, found);
        }
        Value::Array(items) if !items.is_empty() => match keys.list(&field, items) {
            ListKind::Keyed(names) => gather_items(items, &names, way, keys, found),
            ListKind::Set => gather_members(items, way, found),
            ListKind::Atomic => drop(found.insert(way.clone(), value.clone())),
        },
        _ => drop(found.insert(way.clone(), value.clone())),
    }
}

fn gather_fields(fields: &Map<String, Value>, way: &mut Path, keys: &MergeKeys, found: &mut BTreeMap<Path, Value>) {
    for (name, value) in fields {
        way.push(Step::Field(name.clone()));
        gather(value, way, keys, found);
        way.pop();
    }
}

fn gather_items(
    items: &[Value],
    names: &[String],
    way: &mut Path,
    keys: &MergeKeys,
    found: &mut BTreeMap<Path, Value>,
) {
    for item in items {
        let Some(key) = key_of(item, names) else { continue };
        way.push(Step::Item(key));
        found.insert(way.clone(), Value::Null);
        gather(item, way, keys, found);
        way.pop();
    }
}

fn gather_members(items: &[Value], way: &mut Path, found: &mut BTreeMap<Path, Value>) {
    for item in items {
        way.push(member(item));
        found.insert(way.clone(), Value::Null);
        way.pop();
    }
}

/// The step to a member of a set.
pub(crate) fn member(item: &Value) -> Step {
    Step::Member(item.to_string())
}

/// Whether the server alone writes this field, so that nobody owns it.
pub(crate) fn unowned(path: &Path) -> bool {
    const METADATA: &[&str] = &[
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
        "generateName",
    ];
    match path.as_slice() {
        [] => true,
        [Step::Field(field)] => ["apiVersion", "kind", "metadata"].contains(&field.as_str()),
        [Step::Field(root), Step::Field(field), ..] => root == "metadata" && METADATA.contains(&field.as_str()),
        _ => false,
    }
}

/// Field ownership as the API shows it (`fieldsV1`).
pub(crate) fn as_fields(paths: &BTreeSet<Path>) -> Value {
    let mut root = Map::new();
    for path in paths {
        enter(&mut root, path);
    }
    Value::Object(root)
}

fn enter(here: &mut Map<String, Value>, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    let name = match step {
        Step::Field(field) => format!("f:{field}"),
        Step::Item(key) => format!("k:{key}"),
        Step::Member(member) => format!("v:{member}"),
    };
    let next = here.entry(name).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(fields) = next else { return };
    if rest.is_empty() && matches!(step, Step::Item(_)) {
        fields.insert(".".into(), Value::Object(Map::new()));
    }
    enter(fields, rest);
}

/// A path for people: `.spec.containers[{"name":"engine"}].image`.
pub(crate) fn spelled(path: &Path) -> String {
    path.iter()
        .map(|step| match step {
            Step::Field(field) => format!(".{field}"),
            Step::Item(key) | Step::Member(key) => format!("[{key}]"),
        })
        .collect()
}
