//! Whether an object already is as planned, so that nothing need be sent.

use serde_json::Value;

/// Maps and lists in which a foreign entry changes the meaning; an apply sets them right.
const WHOLE: [&str; 8] =
    ["selector", "matchLabels", "nodeSelector", "rules", "subjects", "ingress", "data", "endpoints"];

/// Quantities, and maps of them. The API server writes each in its own way: 1024Mi comes back as 1Gi, 0.5 as 500m.
const AMOUNTS: [&str; 3] = ["limits", "requests", "sizeLimit"];

/// Whether everything that is planned stands in what is stored. The API server and others may have added fields; the plan's
/// hash among the annotations betrays a field that is no longer planned.
pub fn covers(planned: &Value, stored: &Value) -> bool {
    match (planned, stored) {
        (Value::Object(planned), Value::Object(stored)) => planned.iter().all(|(key, value)| match stored.get(key) {
            Some(found) if WHOLE.contains(&key.as_str()) => value == found,
            Some(found) if AMOUNTS.contains(&key.as_str()) => same_amounts(value, found),
            Some(found) => covers(value, found),
            None => is_empty(value),
        }),
        (Value::Array(planned), Value::Array(stored)) => {
            planned.len() <= stored.len()
                && planned.iter().enumerate().all(|(at, value)| covers(value, counterpart(at, value, stored)))
        }
        _ => planned == stored,
    }
}

/// The API server does not store what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// The element of a stored list that is meant: of the same name where elements have names, else at the same place.
fn counterpart<'a>(at: usize, value: &Value, stored: &'a [Value]) -> &'a Value {
    let named = value.get("name").and_then(|name| stored.iter().find(|other| other.get("name") == Some(name)));
    named.unwrap_or(&stored[at])
}

fn same_amounts(planned: &Value, stored: &Value) -> bool {
    match (planned, stored) {
        (Value::Object(planned), Value::Object(stored)) => {
            planned.iter().all(|(name, amount)| stored.get(name).is_some_and(|found| same_amounts(amount, found)))
        }
        (Value::String(planned), Value::String(stored)) if planned != stored => {
            amount(planned).is_some_and(|planned| amount(stored) == Some(planned))
        }
        _ => planned == stored,
    }
}

/// A quantity in millionths.
fn amount(text: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 14] = [
        ("", 1_000_000),
        ("u", 1),
        ("m", 1000),
        ("k", 1_000_000_000),
        ("M", 1_000_000_000_000),
        ("G", 1_000_000_000_000_000),
        ("T", 1_000_000_000_000_000_000),
        ("P", 1_000_000_000_000_000_000_000),
        ("Ki", 1_000_000 << 10),
        ("Mi", 1_000_000 << 20),
        ("Gi", 1_000_000 << 30),
        ("Ti", 1_000_000 << 40),
        ("Pi", 1_000_000 << 50),
        ("Ei", 1_000_000 << 60),
    ];
    let (number, suffix) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let unit = UNITS.iter().find(|(name, _)| *name == suffix)?.1;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
    // the API server rounds up, too
    Some(digits.checked_mul(unit)?.checked_add(scale - 1)? / scale)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn added_fields_do_not_matter_and_changed_ones_do() {
        let planned = json!({"spec": {"replicas": 2, "containers": [{"name": "engine", "image": "a", "args": ["x"]}]}});
        let mut stored = json!({"spec": {"replicas": 2, "paused": false, "containers": [
            {"name": "sidecar", "image": "s"}, {"name": "engine", "image": "a", "args": ["x"], "pullPolicy": "Always"}]}});
        assert!(covers(&planned, &stored));
        stored["spec"]["containers"][1]["image"] = "b".into();
        assert!(!covers(&planned, &stored));
        stored["spec"]["containers"][1]["image"] = "a".into();
        stored["spec"]["replicas"] = 3.into();
        assert!(!covers(&planned, &stored));
    }

    #[test]
    fn a_selector_with_a_foreign_key_is_another_selector() {
        let planned = json!({"spec": {"selector": {"a": "b"}, "template": {"matchLabels": {"a": "b"}}}});
        let mut stored = planned.clone();
        assert!(covers(&planned, &stored));
        stored["spec"]["selector"]["stolen"] = "yes".into();
        assert!(!covers(&planned, &stored));
    }

    #[test]
    fn what_is_empty_need_not_be_stored() {
        assert!(covers(&json!({"emptyDir": {}, "list": [], "gone": null}), &json!({})));
        assert!(!covers(&json!({"emptyDir": {"medium": "Memory"}}), &json!({})));
    }

    #[test]
    fn an_amount_is_the_same_in_any_spelling() {
        let planned =
            json!({"resources": {"limits": {"memory": "1024Mi"}, "requests": {"cpu": "0.5", "memory": "1.5Gi"}}});
        let stored =
            json!({"resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1536Mi"}}});
        assert!(covers(&planned, &stored));
        for (one, other) in [("1Gi", "1G"), ("1", "1m"), ("1", "nonsense"), ("nonsense", "1")] {
            assert!(!covers(&json!({"sizeLimit": one}), &json!({"sizeLimit": other})), "{one} {other}");
        }
        assert!(!covers(&json!({"value": "1024Mi"}), &json!({"value": "1Gi"})), "a text is no amount");
    }
}
