//! The generated definitions: what is committed is what the code says, and every field is explained.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test speaks by panicking")]

use std::path::Path;

use deepseek_crds::schema;
use serde_json::Value;

/// `UPDATE=1` rewrites the file instead of comparing.
#[test]
fn committed_yaml_is_up_to_date() {
    for crd in schema::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml").join(format!("{}.yaml", crd.spec.names.plural));
        let text = schema::yaml(&crd).expect("yaml");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).expect("write");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{} is stale: run `make generate` and commit it", path.display());
    }
}

/// Lists of types that Kubernetes defines, and describes in its own words: `core/v1` Toleration and `meta/v1` Condition. The
/// lists are ours, with unit, default, example and bounds like everything else; the fields of their items are not.
const OF_KUBERNETES: [&str; 2] = ["spec.placement.tolerations", "status.conditions"];

/// Calls `check` with the path and schema of every leaf of our own.
fn for_each_leaf(path: &str, schema: &Value, check: &mut dyn FnMut(&str, &Value)) {
    match schema["properties"].as_object() {
        Some(properties) => {
            for (name, inner) in properties {
                assert!(inner["description"].is_string(), "{path}.{name} has no description");
                for_each_leaf(&format!("{path}.{name}"), inner, check);
            }
        }
        None if schema["items"]["properties"].is_object() && !OF_KUBERNETES.contains(&path) => {
            check(path, schema);
            for_each_leaf(&format!("{path}[]"), &schema["items"], check);
        }
        None => check(path, schema),
    }
}

fn each(check: &mut dyn FnMut(&str, &Value)) {
    let crd = serde_json::to_value(schema::deepseekdeployments()).unwrap();
    let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    for_each_leaf("spec", &root["spec"], check);
    for_each_leaf("status", &root["status"], check);
}

#[test]
fn every_leaf_says_unit_default_and_example() {
    let mut poor = Vec::new();
    each(&mut |path, leaf| {
        let text = leaf["description"].as_str().unwrap_or_default().replace('\n', " ");
        if ["Unit: ", "Default: ", "Example: "].iter().any(|word| !text.contains(word)) {
            poor.push(format!("{path}: {text}"));
        }
    });
    assert!(poor.is_empty(), "descriptions lack Unit:, Default: or Example:\n{}", poor.join("\n"));
}

#[test]
fn only_lists_of_kubernetes_own_types_are_left_to_it() {
    let mut seen = Vec::new();
    each(&mut |path, leaf| {
        if leaf["items"]["properties"].is_object() && OF_KUBERNETES.contains(&path) {
            seen.push(path.to_owned());
        }
    });
    assert_eq!(seen, OF_KUBERNETES, "a list that is gone needs no exemption");
}

/// An object without fields holds nothing: the API server drops whatever is put into it.
fn has_no_fields(schema: &Value) -> bool {
    ["properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields"]
        .iter()
        .all(|key| schema[key].is_null())
}

#[test]
fn every_list_string_and_number_of_the_spec_is_bounded() {
    let mut open = Vec::new();
    each(&mut |path, leaf| {
        let bounded = match leaf["type"].as_str() {
            Some("string") => leaf["maxLength"].is_u64() || leaf["enum"].is_array(),
            Some("array") => leaf["maxItems"].is_u64() && leaf["x-kubernetes-list-type"].is_string(),
            Some("integer" | "number") => leaf["minimum"].is_number() && leaf["maximum"].is_number(),
            Some("object") => leaf["maxProperties"].is_u64() || has_no_fields(leaf),
            _ => true,
        };
        if path.starts_with("spec") && !bounded {
            open.push(path.to_owned());
        }
    });
    assert!(open.is_empty(), "no bound: {open:?}");
}

#[test]
fn formats_are_known_to_the_api_server() {
    let crd = serde_json::to_string(&schema::deepseekdeployments()).unwrap();
    for unknown in ["uint8", "uint16", "uint32", "uint64", "\"double\"", "\"float\""] {
        assert!(!crd.contains(unknown), "format {unknown}");
    }
}

#[test]
fn rules_say_what_to_do() {
    let crd = serde_json::to_value(schema::deepseekdeployments()).unwrap();
    let mut rules = Vec::new();
    collect_rules(&crd, &mut rules);
    assert!(rules.len() >= 6, "{rules:?}");
    for rule in rules {
        let message = rule["message"].as_str().unwrap_or_default();
        assert!(message.len() > 30, "rule {} has no message of use", rule["rule"]);
    }
}

fn collect_rules(value: &Value, into: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match (key.as_str(), inner) {
                    ("x-kubernetes-validations", Value::Array(rules)) => into.extend(rules.iter().cloned()),
                    _ => collect_rules(inner, into),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_rules(inner, into)),
        _ => {}
    }
}
