//! Garbage collection: dependants whose owners are all gone go too, at once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::remove::Deletion;
use super::{Cluster, Key, items, text};

impl Cluster {
    /// Ends every object whose owners are all absent, until there is none.
    pub(crate) fn collect_garbage(&mut self) {
        if self.garbage_paused {
            return;
        }
        while let Some(orphan) = self.first_orphan() {
            self.end(&orphan, &Deletion::default());
        }
    }

    fn first_orphan(&self) -> Option<Key> {
        let living: BTreeMap<&str, &Key> =
            self.objects().map(|(key, object)| (text(object, "/metadata/uid"), key)).collect();
        let lives = |key: &Key, reference: &Value| {
            living.get(text(reference, "/uid")).is_some_and(|owner| {
                owner.name == text(reference, "/name")
                    && (owner.namespace.is_empty() || owner.namespace == key.namespace)
            })
        };
        self.objects()
            .find(|(key, object)| {
                let owners = items(object, "/metadata/ownerReferences");
                let going = super::terminating(object);
                !owners.is_empty() && !going && !owners.iter().any(|owner| lives(key, owner))
            })
            .map(|(key, _)| key.clone())
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
        let how = Deletion { propagation: super::remove::Propagation::Foreground, ..Deletion::default() };
        for key in self.dependants(uid) {
            let Some(object) = self.get(&key) else { continue };
            if !super::terminating(&object) {
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
