//! Laying an applied set over an object, and taking fields away again.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::keys::{ListKind, MergeKeys, key_of};
use super::path::{Path, Step, member};

/// `live` with `config` laid over it: objects and keyed lists merge, all else is replaced.
pub(crate) fn laid_over(live: &Value, config: &Value, field: &str, keys: &MergeKeys) -> Value {
    match (live, config) {
        (Value::Object(old), Value::Object(new)) if !MergeKeys::atomic_object(field) => {
            let mut merged = old.clone();
            for (name, value) in new {
                let value = match old.get(name) {
                    Some(before) => laid_over(before, value, name, keys),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(old), Value::Array(new)) => Value::Array(lists(old, new, field, keys)),
        _ => config.clone(),
    }
}

fn lists(old: &[Value], new: &[Value], field: &str, keys: &MergeKeys) -> Vec<Value> {
    match (keys.list(field, old), keys.list(field, new)) {
        (ListKind::Keyed(names), ListKind::Keyed(others)) if names == others => {
            let same = |a: &Value, b: &Value| key_of(a, &names) == key_of(b, &names);
            woven(old, new, same, |before, after| laid_over(before, after, "", keys))
        }
        (ListKind::Set, _) => woven(old, new, |a, b| a == b, |_, after| after.clone()),
        _ => new.to_vec(),
    }
}

/// Both lists in one: the order of the new one, with items only the old one has near their old place.
fn woven(
    old: &[Value],
    new: &[Value],
    same: impl Fn(&Value, &Value) -> bool,
    join: impl Fn(&Value, &Value) -> Value,
) -> Vec<Value> {
    let in_new = |item: &Value| new.iter().any(|other| same(item, other));
    let mut rest = old.iter().peekable();
    let mut all = Vec::new();
    for item in new {
        while let Some(only_old) = rest.next_if(|item| !in_new(item)) {
            all.push(only_old.clone());
        }
        rest.next();
        let before = old.iter().find(|before| same(before, item));
        all.push(before.map_or_else(|| item.clone(), |before| join(before, item)));
    }
    all.extend(rest.filter(|item| !in_new(item)).cloned());
    all
}

/// `value` without what lies at `path`; parents left empty go too, unless `kept` names them.
pub(crate) fn taken_away(value: &mut Value, path: &Path, kept: &BTreeSet<Path>, keys: &MergeKeys) {
    take(value, path, 0, kept, keys);
}

fn take(value: &mut Value, path: &Path, depth: usize, kept: &BTreeSet<Path>, keys: &MergeKeys) {
    let last = depth + 1 == path.len();
    match (&path[depth], value) {
        (Step::Field(name), Value::Object(fields)) if last => drop(fields.remove(name)),
        (Step::Field(name), Value::Object(fields)) => {
            let Some(inner) = fields.get_mut(name) else { return };
            take(inner, path, depth + 1, kept, keys);
            if is_empty(inner) && !kept.contains(&path[..=depth]) {
                fields.remove(name);
            }
        }
        (Step::Item(key), Value::Array(items)) => {
            let field = field_above(path, depth);
            let ListKind::Keyed(names) = keys.list(field, items) else { return };
            if last {
                items.retain(|item| key_of(item, &names).as_ref() != Some(key));
            } else if let Some(item) = items.iter_mut().find(|item| key_of(item, &names).as_ref() == Some(key))
                && !is_key(&path[depth + 1], &names)
            {
                take(item, path, depth + 1, kept, keys);
            }
        }
        (step @ Step::Member(_), Value::Array(items)) => items.retain(|item| member(item) != *step),
        _ => {}
    }
}

fn field_above(path: &Path, depth: usize) -> &str {
    match depth.checked_sub(1).map(|above| &path[above]) {
        Some(Step::Field(name)) => name,
        _ => "",
    }
}

fn is_key(step: &Step, names: &[String]) -> bool {
    matches!(step, Step::Field(name) if names.contains(name))
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// `value` without any `null`: what a client did not say.
pub(crate) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}
