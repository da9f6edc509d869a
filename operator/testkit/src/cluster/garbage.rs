//! What follows a deletion, at once: dependants whose owners are all gone, owners which waited for them,
//! namespaces which are empty at last.

use serde_json::{Value, json};

use super::remove::{Deletion, FOREGROUND, Propagation};
use super::{Cluster, Key, items, terminating, text};

impl Cluster {
    /// Lets everything follow that follows, until nothing does.
    pub(crate) fn tidy(&mut self) {
        if std::mem::replace(&mut self.tidying, true) {
            return;
        }
        while self.collect_garbage() || self.release_owner() || self.close_namespace() {}
        self.tidying = false;
    }

    /// Whether all owners of an object are absent; never while the collector rests.
    pub(super) fn is_orphan(&self, key: &Key, object: &Value) -> bool {
        let lives = |reference: &Value| {
            self.bearers.get(text(reference, "/uid")).is_some_and(|owner| {
                owner.name == text(reference, "/name")
                    && (owner.namespace.is_empty() || owner.namespace == key.namespace)
            })
        };
        let owners = items(object, "/metadata/ownerReferences");
        !self.garbage_paused && !owners.is_empty() && !terminating(object) && !owners.iter().any(lives)
    }

    fn collect_garbage(&mut self) -> bool {
        let orphans: Vec<Key> =
            self.objects().filter(|(key, object)| self.is_orphan(key, object)).map(|(key, _)| key.clone()).collect();
        for orphan in &orphans {
            self.end(orphan, &Deletion::default());
        }
        !orphans.is_empty()
    }

    /// Lets go of an owner which waited in the foreground for dependants that are gone now.
    fn release_owner(&mut self) -> bool {
        let waits = |object: &Value| items(object, "/metadata/finalizers").contains(&json!(FOREGROUND));
        let released = self.objects().find(|(_, object)| waits(object) && !self.has_dependants(object));
        let Some((key, object)) = released.map(|(key, object)| (key.clone(), (**object).clone())) else {
            return false;
        };
        let mut object = object;
        if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|name| name != FOREGROUND);
        }
        self.rewrite(&key, object);
        true
    }

    fn close_namespace(&mut self) -> bool {
        let over = |(key, object): &(Key, std::sync::Arc<Value>)| {
            let held = !items(object, "/metadata/finalizers").is_empty() || self.holds_content(key);
            terminating(object) && !held
        };
        let Some((key, _)) = self.all_of("namespaces").into_iter().find(over) else { return false };
        self.erase(&key);
        true
    }

    fn dependants(&self, uid: &str) -> Vec<Key> {
        let depends =
            |object: &Value| items(object, "/metadata/ownerReferences").iter().any(|r| text(r, "/uid") == uid);
        self.objects().filter(|(_, object)| depends(object)).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn has_dependants(&self, owner: &Value) -> bool {
        !self.dependants(text(owner, "/metadata/uid")).is_empty()
    }

    /// Deletes the dependants of an owner which waits for them, and theirs.
    pub(super) fn delete_dependants(&mut self, uid: &str) {
        let how = Deletion { propagation: Propagation::Foreground, ..Deletion::default() };
        for key in self.dependants(uid) {
            let Some(object) = self.get(&key) else { continue };
            if !terminating(&object) {
                self.end(&key, &how);
                self.delete_dependants(text(&object, "/metadata/uid"));
            }
        }
    }

    /// Cuts the dependants loose from their owner.
    pub(super) fn orphan(&mut self, uid: &str) {
        for key in self.dependants(uid) {
            let Some(object) = self.get(&key) else { continue };
            let mut object = (*object).clone();
            if let Some(references) = object["metadata"]["ownerReferences"].as_array_mut() {
                references.retain(|reference| text(reference, "/uid") != uid);
            }
            self.rewrite(&key, object);
        }
    }
}
