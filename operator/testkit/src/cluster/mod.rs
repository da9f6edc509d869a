//! What the API server stores, and the rules by which it changes. No I/O, no time but its own.
//!
//! | file | holds |
//! |---|---|
//! | `commit` | create, update, apply: metadata, generation, finalizers, history |
//! | `remove` | delete, propagation, namespaces |
//! | `garbage` | what follows a deletion: dependants, waiting owners, namespaces |
//! | `defaults` | what the server fills in and what it never lets change |
//! | `rules` | names, labels, selectors, ports, fixed fields |
//! | `lists` | lists, pages, the past |

mod commit;
mod defaults;
mod garbage;
mod lists;
mod remove;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(crate) use commit::{Part, Write};
pub(crate) use remove::Deletion;

use crate::apply::{MergeKeys, Owners};
use crate::kinds::{Kind, Kinds};
use crate::refusal::{Answer, not_found};

/// Where an object lives. The namespace of cluster-wide kinds is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object with its field owners.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: Arc<Value>,
    pub(crate) owners: Owners,
}

/// One change of the store: what was, what is, and the object as a watch shows it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) after: Option<Arc<Value>>,
    /// Lost on the way: no watch shows it.
    pub(crate) hidden: bool,
}

/// A hook of admission: sees verb and object, returns the object to store or refuses.
pub(crate) type Admission = Arc<dyn Fn(&str, &Value) -> Answer<Value> + Send + Sync>;

/// The whole store. Cloning is cheap enough for a dry run.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) kinds: Kinds,
    pub(crate) merge_keys: MergeKeys,
    pub(crate) admission: Vec<Admission>,
    pub(crate) now: Timestamp,
    /// Pods on nodes wait for their kubelet to end them.
    pub(crate) kubelets: bool,
    pub(crate) garbage_paused: bool,
    /// Resources whose next change no watch will show.
    pub(crate) losing: BTreeSet<String>,
    objects: BTreeMap<Key, Stored>,
    /// Who bears which UID.
    bearers: BTreeMap<String, Key>,
    history: Vec<Change>,
    revision: u64,
    oldest: u64,
    births: u64,
    /// Tidying runs already; who finds more to tidy leaves it to that run.
    tidying: bool,
}

impl Cluster {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            kinds: Kinds::built_in(),
            merge_keys: MergeKeys::default(),
            admission: Vec::new(),
            now,
            kubelets: false,
            garbage_paused: false,
            losing: BTreeSet::new(),
            objects: BTreeMap::new(),
            bearers: BTreeMap::new(),
            history: Vec::new(),
            revision: 1,
            oldest: 0,
            births: 0,
            tidying: false,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The oldest revision a watch may start from.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Forgets the past: watches from before now are told 410.
    pub(crate) fn compact(&mut self) {
        self.revision += 1;
        self.oldest = self.revision;
    }

    pub(crate) fn advance(&mut self, by: SignedDuration) {
        self.now = self.now.checked_add(by).expect("a test clock stays in range");
    }

    /// Now, as the API writes it: whole seconds.
    pub(crate) fn timestamp(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The changes from position `from` on.
    pub(crate) fn history(&self, from: usize) -> &[Change] {
        &self.history[from.min(self.history.len())..]
    }

    /// The position of the first change after `revision`.
    pub(crate) fn position_after(&self, revision: u64) -> usize {
        self.history.partition_point(|change| change.revision <= revision)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).map(|stored| Arc::clone(&stored.value))
    }

    pub(crate) fn found(&self, kind: &Kind, key: &Key) -> Answer<Arc<Value>> {
        self.get(key).ok_or_else(|| not_found(kind, &key.name))
    }

    /// All objects, in the order of their keys.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> + Clone {
        self.objects.iter().map(|(key, stored)| (key, &stored.value))
    }

    /// All objects of one resource.
    pub(crate) fn all_of(&self, resource: &str) -> Vec<(Key, Arc<Value>)> {
        self.objects
            .range(Key::new(resource, "", "")..)
            .take_while(|(key, _)| key.resource == resource)
            .map(|(key, stored)| (key.clone(), Arc::clone(&stored.value)))
            .collect()
    }

    fn owners(&self, key: &Key) -> Owners {
        self.objects.get(key).map(|stored| stored.owners.clone()).unwrap_or_default()
    }

    fn next_uid(&mut self) -> String {
        self.births += 1;
        format!("{UID_STEM}{:012x}", self.births)
    }
}

/// How every UID of a fake world begins, so that a snapshot recognises them.
pub(crate) const UID_STEM: &str = "dee95eec-0000-4000-8000-";

impl Key {
    pub(crate) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }

    /// Where an object of this kind lives.
    pub(crate) fn of(kind: &Kind, object: &Value) -> Self {
        let namespace = if kind.namespaced { text(object, "/metadata/namespace") } else { "" };
        Self::new(&kind.resource(), namespace, text(object, "/metadata/name"))
    }
}

/// The text at a JSON pointer, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items at a JSON pointer, or none.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether the object is on its way out.
pub(crate) fn terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}
