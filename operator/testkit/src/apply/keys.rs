//! Which lists merge item by item, and which values are replaced as a whole.
//!
//! The real server reads this from each kind's schema; here the name of the field decides, which is
//! unambiguous for the kinds we serve.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How the items of a list find their counterparts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// Each item is found by these fields.
    Keyed(Vec<String>),
    /// The item is its own key.
    Set,
    /// The list has one owner and is replaced as a whole.
    Atomic,
}

/// Merge keys by the name of the field which holds the list.
#[derive(Clone, Debug)]
pub(crate) struct MergeKeys(BTreeMap<String, Vec<String>>);

const KEYED: &[(&str, &[&str])] = &[
    ("addresses", &["type"]),
    ("claims", &["name"]),
    ("conditions", &["type"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ownerReferences", &["uid"]),
    ("podIPs", &["ip"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
    ("secrets", &["name"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// Objects with one owner: label selectors and references.
const ATOMIC_OBJECTS: &[&str] = &[
    "configMapKeyRef",
    "fieldRef",
    "labelSelector",
    "matchLabels",
    "nodeSelector",
    "podSelector",
    "resourceFieldRef",
    "roleRef",
    "secretKeyRef",
    "selector",
];

impl Default for MergeKeys {
    fn default() -> Self {
        let owned = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
        Self(KEYED.iter().map(|(field, keys)| ((*field).to_owned(), owned(keys))).collect())
    }
}

impl MergeKeys {
    /// Declares a keyed list of a custom kind.
    pub(crate) fn add(&mut self, field: &str, keys: &[&str]) {
        self.0.insert(field.into(), keys.iter().map(ToString::to_string).collect());
    }

    pub(crate) fn atomic_object(field: &str) -> bool {
        ATOMIC_OBJECTS.contains(&field)
    }

    /// How the list under `field` merges; keyed only if every item has its keys.
    pub(crate) fn list(&self, field: &str, items: &[Value]) -> ListKind {
        if field == "finalizers" {
            return ListKind::Set;
        }
        let keys = if field == "ports" { ports(items) } else { self.0.get(field).cloned() };
        match keys {
            Some(keys) if items.iter().all(|item| key_of(item, &keys).is_some()) => ListKind::Keyed(keys),
            _ => ListKind::Atomic,
        }
    }
}

/// The key of an item, as field ownership writes it: `{"name":"engine"}`.
pub(crate) fn key_of(item: &Value, keys: &[String]) -> Option<String> {
    let item = item.as_object()?;
    let mut found = Map::new();
    for key in keys {
        let value = match item.get(key) {
            Some(value) => value.clone(),
            None if key == "protocol" => Value::from("TCP"),
            None => return None,
        };
        found.insert(key.clone(), value);
    }
    Some(Value::Object(found).to_string())
}

/// Ports of a container are known by `containerPort`, those of a Service by `port`.
fn ports(items: &[Value]) -> Option<Vec<String>> {
    let number =
        ["containerPort", "port"].into_iter().find(|number| items.iter().all(|item| item.get(number).is_some()))?;
    Some(vec![number.to_owned(), "protocol".to_owned()])
}
