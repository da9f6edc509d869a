//! Patches other than apply: JSON merge patch (RFC 7386) and JSON patch (RFC 6902).

use serde_json::{Map, Value};

use crate::refusal::{Answer, invalid, refusal};

/// `target` changed by a merge patch: null removes, objects merge, all else replaces.
pub(crate) fn merged(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut fields = target.as_object().cloned().unwrap_or_default();
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            let before = fields.get(name).cloned().unwrap_or(Value::Null);
            fields.insert(name.clone(), merged(&before, change));
        }
    }
    Value::Object(fields)
}

/// `target` changed by a list of operations, of which each must succeed.
///
/// # Errors
/// 422 when a test fails or a path does not exist, as the real server says.
pub(crate) fn operated(target: &Value, operations: &Value) -> Answer<Value> {
    let operations = operations.as_array().ok_or_else(|| refusal(400, "a JSON patch is a list"))?;
    operations.iter().try_fold(target.clone(), step)
}

fn step(mut object: Value, operation: &Value) -> Answer<Value> {
    let text = |field: &str| operation[field].as_str().unwrap_or_default().to_owned();
    let (path, value) = (text("path"), operation["value"].clone());
    match text("op").as_str() {
        "test" => {
            let found = object.pointer(&path).unwrap_or(&Value::Null);
            if *found != value {
                return Err(invalid(format!("the server rejected our request: testing path {path} failed")));
            }
        }
        "add" => add(&mut object, &path, value)?,
        "replace" => *object.pointer_mut(&path).ok_or_else(|| missing(&path))? = value,
        "remove" => drop(remove(&mut object, &path)?),
        "move" => {
            let moved = remove(&mut object, &text("from"))?;
            add(&mut object, &path, moved)?;
        }
        "copy" => {
            let copied = object.pointer(&text("from")).cloned().ok_or_else(|| missing(&path))?;
            add(&mut object, &path, copied)?;
        }
        other => return Err(refusal(400, format!("unexpected operation {other:?}"))),
    }
    Ok(object)
}

fn add(object: &mut Value, path: &str, value: Value) -> Answer<()> {
    let (parent, last) = parted(path)?;
    match object.pointer_mut(&parent) {
        Some(Value::Object(fields)) => drop(fields.insert(last, value)),
        Some(Value::Array(items)) if last == "-" => items.push(value),
        Some(Value::Array(items)) => {
            let at = index(&last, items.len() + 1).ok_or_else(|| missing(path))?;
            items.insert(at, value);
        }
        // As the real server: `add` needs the parent to exist, save for absent metadata maps.
        Some(nothing @ Value::Null) => *nothing = Value::Object(Map::from_iter([(last, value)])),
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Answer<Value> {
    let (parent, last) = parted(path)?;
    let removed = match object.pointer_mut(&parent) {
        Some(Value::Object(fields)) => fields.remove(&last),
        Some(Value::Array(items)) => index(&last, items.len()).map(|at| items.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| missing(path))
}

fn parted(path: &str) -> Answer<(String, String)> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    Ok((parent.into(), last.replace("~1", "/").replace("~0", "~")))
}

fn index(text: &str, length: usize) -> Option<usize> {
    text.parse().ok().filter(|at| *at < length)
}

fn missing(path: &str) -> Box<kube::core::Status> {
    invalid(format!("the server rejected our request: path {path} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merge_patch_removes_by_null_and_replaces_lists() {
        let before = json!({"a": {"b": 1, "c": 2}, "list": [1, 2]});
        let after = merged(&before, &json!({"a": {"b": null, "d": 3}, "list": [3]}));
        assert_eq!(after, json!({"a": {"c": 2, "d": 3}, "list": [3]}));
    }

    #[test]
    fn json_patch_tests_before_it_changes() {
        let before = json!({"metadata": {"finalizers": ["x", "y"]}});
        let patch = json!([
            {"op": "test", "path": "/metadata/finalizers/0", "value": "x"},
            {"op": "remove", "path": "/metadata/finalizers/0"},
            {"op": "add", "path": "/metadata/finalizers/-", "value": "z"},
        ]);
        let after = operated(&before, &patch).unwrap();
        assert_eq!(after["metadata"]["finalizers"], json!(["y", "z"]));
        assert_eq!(operated(&after, &patch).unwrap_err().code, 422);
    }
}
