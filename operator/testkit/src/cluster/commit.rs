//! Create, update and apply: what the server keeps, counts and records.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Change, Cluster, Key, Stored, items, rules, terminating, text};
use crate::apply::merge::without_nulls;
use crate::apply::{Author, Owners};
use crate::kinds::Kind;
use crate::refusal::{Answer, already_exists, changed_meanwhile, conflict, forbidden, refusal};

/// Which part of the object a door writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
    /// Everything: fixtures and actors.
    Whole,
}

/// One write: where, through which door, by whom.
#[derive(Clone)]
pub(crate) struct Write {
    pub(crate) kind: Arc<Kind>,
    pub(crate) key: Key,
    pub(crate) part: Part,
    pub(crate) author: Author,
}

impl Cluster {
    /// Stores a new object.
    pub(crate) fn create(&mut self, write: &Write, body: Value) -> Answer<Value> {
        if self.get(&write.key).is_some() {
            return Err(already_exists(&write.kind, &write.key.name));
        }
        self.namespace_open(&write.key)?;
        let body = without_nulls(body);
        let skeleton = skeleton(write);
        let owners =
            Owners::default().updated(&skeleton, &limited(write, &body, None), &write.author, &self.merge_keys);
        self.finish(write, None, &body, owners, "create")
    }

    /// Replaces a stored object. `new` comes from an update or a patch that was merged already.
    pub(crate) fn replace(&mut self, write: &Write, new: Value) -> Answer<Value> {
        let old = self.found(&write.kind, &write.key)?;
        check_identity(write, &old, &new)?;
        let new = limited(write, &without_nulls(new), Some(&old));
        let owners = self.owners(&write.key).updated(&old, &new, &write.author, &self.merge_keys);
        self.finish(write, Some(old), &new, owners, "update")
    }

    /// Server-side apply; creates the object if it is absent.
    pub(crate) fn apply(&mut self, write: &Write, config: Value, force: bool) -> Answer<Value> {
        let old = self.get(&write.key);
        if old.is_none() {
            if write.part == Part::Status {
                self.found(&write.kind, &write.key)?;
            }
            self.namespace_open(&write.key)?;
        }
        check_applied(&config)?;
        let live = old.as_deref().cloned().unwrap_or_else(|| skeleton(write));
        check_identity(write, &live, &config)?;
        let config = of_part(write, without_nulls(config));
        let owners = self.owners(&write.key);
        let (merged, owners) = owners.applied(&live, &config, &write.author, force, &self.merge_keys)?;
        let verb = if old.is_some() { "update" } else { "create" };
        self.finish(write, old, &merged, owners, verb)
    }

    /// The common end of all writes: what the server fills in, admission, rules, and the record.
    fn finish(
        &mut self,
        write: &Write,
        old: Option<Arc<Value>>,
        new: &Value,
        owners: Owners,
        verb: &str,
    ) -> Answer<Value> {
        let mut new = limited(write, new, old.as_deref());
        self.default(write, &mut new, old.as_deref());
        let mut admitted = new.clone();
        for hook in self.admission.clone() {
            admitted = hook(verb, &admitted)?;
        }
        let by_update = Author::updating(&write.author.name);
        let owners =
            if admitted == new { owners } else { owners.updated(&new, &admitted, &by_update, &self.merge_keys) };
        rules::check(&write.kind, old.as_deref(), &admitted)?;
        Ok(self.store(&write.kind, &write.key, old, admitted, owners))
    }

    /// Writes the record, unless nothing changed; finishes a deletion whose last finalizer went.
    pub(super) fn store(
        &mut self,
        kind: &Kind,
        key: &Key,
        old: Option<Arc<Value>>,
        mut new: Value,
        owners: Owners,
    ) -> Value {
        if let Some(old) = &old
            && **old == new
            && self.owners(key) == owners
        {
            return new;
        }
        let (version, now) = (kind.api_version(), self.timestamp());
        self.born(kind, old.as_deref(), &mut new, &now);
        self.revision += 1;
        new["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        new["metadata"]["managedFields"] = owners.managed_fields(&version, &now);
        let after = Arc::new(new.clone());
        let existed = old.is_some();
        self.bearers.insert(text(&new, "/metadata/uid").to_owned(), key.clone());
        self.record(key, old, Some(Arc::clone(&after)));
        self.objects.insert(key.clone(), Stored { value: after, owners });
        self.after_write(key, &new, existed);
        new
    }

    /// Identity for a new object; generation for a changed one.
    fn born(&mut self, kind: &Kind, old: Option<&Value>, new: &mut Value, now: &str) {
        let Some(old) = old else {
            let uid = self.next_uid();
            let metadata = &mut new["metadata"];
            metadata["uid"] = json!(uid);
            metadata["creationTimestamp"] = json!(now);
            if kind.generation {
                metadata["generation"] = json!(1);
            }
            return;
        };
        if kind.generation && without_record(old) != without_record(new) {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
            new["metadata"]["generation"] = json!(generation + 1);
        }
    }

    pub(super) fn record(&mut self, key: &Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        let hidden = self.losing.remove(&key.resource);
        self.history.push(Change { revision: self.revision, key: key.clone(), before, after, hidden });
    }

    fn after_write(&mut self, key: &Key, new: &Value, existed: bool) {
        let held = self.kubelet_ends(key, new) || self.holds_content(key);
        if existed && terminating(new) && items(new, "/metadata/finalizers").is_empty() && !held {
            self.erase(key);
        } else if self.is_orphan(key, new) {
            self.tidy();
        }
    }

    fn namespace_open(&self, key: &Key) -> Answer<()> {
        if key.namespace.is_empty() {
            return Ok(());
        }
        let Some(namespace) = self.get(&Key::new("namespaces", "", &key.namespace)) else {
            return Err(refusal(404, format!("namespaces \"{}\" not found", key.namespace)));
        };
        if terminating(&namespace) {
            let message = "unable to create new content in namespace because it is being terminated";
            return Err(forbidden(format!("{} \"{}\" is forbidden: {message}", key.resource, key.name)));
        }
        Ok(())
    }
}

/// `new` with what this door may not write taken from `old`.
fn limited(write: &Write, new: &Value, old: Option<&Value>) -> Value {
    let mut result = new.clone();
    match write.part {
        Part::Status => {
            result = old.cloned().unwrap_or_default();
            put_or_remove(&mut result, "status", new.get("status").cloned());
        }
        Part::Main if write.kind.status => {
            put_or_remove(&mut result, "status", old.and_then(|old| old.get("status").cloned()));
        }
        _ => {}
    }
    system_metadata(&mut result, old, write.part == Part::Whole);
    result["apiVersion"] = json!(write.kind.api_version());
    result["kind"] = json!(write.kind.kind);
    result["metadata"]["name"] = json!(write.key.name);
    if write.kind.namespaced {
        result["metadata"]["namespace"] = json!(write.key.namespace);
    }
    result
}

fn skeleton(write: &Write) -> Value {
    json!({"apiVersion": write.kind.api_version(), "kind": write.kind.kind, "metadata": {"name": write.key.name}})
}

/// An applied set reduced to what this door takes.
fn of_part(write: &Write, mut config: Value) -> Value {
    let Some(fields) = config.as_object_mut() else { return config };
    match write.part {
        Part::Status => fields.retain(|name, _| name == "status"),
        Part::Main if write.kind.status => drop(fields.remove("status")),
        _ => {}
    }
    config
}

fn put_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    match (object.as_object_mut(), value) {
        (Some(fields), Some(value)) => drop(fields.insert(field.into(), value)),
        (Some(fields), None) => drop(fields.remove(field)),
        (None, _) => {}
    }
}

/// Fields of the metadata which only the server writes; a fixture may be born terminating.
fn system_metadata(object: &mut Value, old: Option<&Value>, whole: bool) {
    const OURS: &[&str] = &["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"];
    const ENDING: &[&str] = &["deletionTimestamp", "deletionGracePeriodSeconds"];
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let ending = if whole { &[][..] } else { ENDING };
    for field in OURS.iter().chain(ending) {
        let before = old.and_then(|old| old["metadata"].get(field).cloned());
        put_or_remove(&mut object["metadata"], field, before);
    }
}

fn without_record(object: &Value) -> Value {
    let mut object = object.clone();
    put_or_remove(&mut object, "metadata", None);
    put_or_remove(&mut object, "status", None);
    object
}

fn check_identity(write: &Write, old: &Value, new: &Value) -> Answer<()> {
    let name = &write.key.name;
    let said = |pointer| Some(text(new, pointer)).filter(|said| !said.is_empty());
    if said("/metadata/name").is_some_and(|said| said != name) {
        return Err(refusal(400, "the name of the object does not match the name on the URL"));
    }
    if said("/metadata/uid").is_some_and(|said| said != text(old, "/metadata/uid")) {
        let message = format!("Precondition failed: UID in object meta differs for {name}");
        return Err(conflict(message));
    }
    if said("/metadata/resourceVersion").is_some_and(|said| said != text(old, "/metadata/resourceVersion")) {
        return Err(changed_meanwhile(&write.kind, name));
    }
    Ok(())
}

fn check_applied(config: &Value) -> Answer<()> {
    if config.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(refusal(400, "metadata.managedFields must be nil"));
    }
    Ok(())
}
