//! Deleting: preconditions, finalizers, grace, propagation, namespaces.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Cluster, Key, items, terminating, text};
use crate::kinds::Kind;
use crate::refusal::{Answer, conflict};

/// What a delete request asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    pub(crate) propagation: Propagation,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) grace: Option<i64>,
}

/// What happens to dependants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

pub(super) const FOREGROUND: &str = "foregroundDeletion";

impl Deletion {
    /// Reads `DeleteOptions`.
    pub(crate) fn from_options(options: &Value) -> Self {
        let said = |pointer| Some(text(options, pointer).to_owned()).filter(|said| !said.is_empty());
        Self {
            propagation: match text(options, "/propagationPolicy") {
                "Foreground" => Propagation::Foreground,
                "Orphan" => Propagation::Orphan,
                _ => Propagation::Background,
            },
            uid: said("/preconditions/uid"),
            resource_version: said("/preconditions/resourceVersion"),
            grace: options.get("gracePeriodSeconds").and_then(Value::as_i64),
        }
    }

    fn check(&self, kind: &Kind, object: &Value) -> Answer<()> {
        let wanted = [
            ("UID", &self.uid, "/metadata/uid"),
            ("ResourceVersion", &self.resource_version, "/metadata/resourceVersion"),
        ];
        for (what, wanted, pointer) in wanted {
            let actual = text(object, pointer);
            if let Some(wanted) = wanted
                && wanted != actual
            {
                return Err(conflict(format!(
                    "Operation cannot be fulfilled on {} \"{}\": Precondition failed: {what} in precondition: \
                     {wanted}, {what} in object meta: {actual}",
                    kind.resource(),
                    text(object, "/metadata/name"),
                )));
            }
        }
        Ok(())
    }
}

impl Cluster {
    /// Deletes an object, or marks it as terminating; returns it if it is still there.
    pub(crate) fn delete(&mut self, kind: &Kind, key: &Key, how: &Deletion) -> Answer<Option<Arc<Value>>> {
        let object = self.found(kind, key)?;
        how.check(kind, &object)?;
        for hook in self.admission.clone() {
            hook("delete", &object)?;
        }
        let uid = text(&object, "/metadata/uid").to_owned();
        if how.propagation == Propagation::Orphan {
            self.orphan(&uid);
        }
        self.end(key, how);
        if how.propagation == Propagation::Foreground {
            self.delete_dependants(&uid);
            self.tidy();
        }
        Ok(self.get(key))
    }

    /// Ends an object: at once, or by marking it when something must happen first.
    pub(super) fn end(&mut self, key: &Key, how: &Deletion) {
        let Some(object) = self.get(key) else { return };
        let mut marked = (*object).clone();
        if how.propagation == Propagation::Foreground && self.has_dependants(&object) {
            add_finalizer(&mut marked, FOREGROUND);
        }
        let grace = if self.kubelet_ends(key, &object) { how.grace.unwrap_or_else(|| grace_of(&object)) } else { 0 };
        let held = !items(&marked, "/metadata/finalizers").is_empty();
        if grace == 0 && !held && !self.holds_content(key) {
            return self.erase(key);
        }
        if !terminating(&object) {
            marked["metadata"]["deletionTimestamp"] = json!(self.timestamp());
            marked["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
        if key.resource == "namespaces" {
            marked["status"]["phase"] = json!("Terminating");
        }
        self.rewrite(key, marked);
        if key.resource == "namespaces" {
            self.empty_namespace(&key.name);
        }
    }

    /// Rewrites an object as the server itself does: nobody owns what it sets.
    pub(super) fn rewrite(&mut self, key: &Key, new: Value) {
        let Some(kind) = self.kinds.by_resource(&key.resource) else { return };
        let (old, owners) = (self.get(key), self.owners(key));
        self.store(&kind, key, old, new, owners);
    }

    /// Takes an object out of the store for good, with what follows.
    pub(crate) fn erase(&mut self, key: &Key) {
        let Some(stored) = self.objects.remove(key) else { return };
        self.bearers.remove(text(&stored.value, "/metadata/uid"));
        self.revision += 1;
        self.record(key, Some(stored.value), None);
        self.tidy();
    }

    /// Whether a kubelet, not the server, ends this object.
    pub(super) fn kubelet_ends(&self, key: &Key, object: &Value) -> bool {
        let over = ["Succeeded", "Failed"].contains(&text(object, "/status/phase"));
        let no_grace = object.pointer("/metadata/deletionGracePeriodSeconds") == Some(&json!(0));
        let placed = !text(object, "/spec/nodeName").is_empty();
        self.kubelets && key.resource == "pods" && placed && !over && !no_grace
    }

    pub(super) fn holds_content(&self, key: &Key) -> bool {
        key.resource == "namespaces" && self.objects.keys().any(|other| other.namespace == key.name)
    }

    fn empty_namespace(&mut self, namespace: &str) {
        let inside: Vec<Key> = self.objects.keys().filter(|key| key.namespace == namespace).cloned().collect();
        for key in inside {
            self.end(&key, &Deletion::default());
        }
    }
}

fn grace_of(pod: &Value) -> i64 {
    pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30)
}

fn add_finalizer(object: &mut Value, name: &str) {
    let finalizers = &mut object["metadata"]["finalizers"];
    if !finalizers.is_array() {
        *finalizers = json!([]);
    }
    if let Some(list) = finalizers.as_array_mut()
        && !list.contains(&json!(name))
    {
        list.push(json!(name));
    }
}
