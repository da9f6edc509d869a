//! Objects, without a request: put, read, edit, remove; kinds; admission.

use std::fmt::Debug;
use std::sync::Arc;

use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::World;
use crate::apply::Author;
use crate::cluster::{Cluster, Deletion, Key, Part, Write, text};
use crate::fixtures::namespace;
use crate::kinds::Kind;
use crate::refusal::Answer;
use crate::state::State;

/// Who puts and edits objects on the stage.
const STAGEHAND: &str = "kubectl";

impl World {
    /// Puts an object into the world as it is, status included, or replaces it; makes its namespace.
    ///
    /// An owner reference to nobody makes it garbage at once, as on a real cluster.
    ///
    /// # Panics
    /// When its kind is not served, or a rule forbids it.
    #[track_caller]
    pub fn put(&self, object: impl Serialize) -> Value {
        let object = serde_json::to_value(object).expect("an object is JSON");
        self.heart.change(|state| {
            let (version, kind) = (text(&object, "/apiVersion"), text(&object, "/kind"));
            let kind = state.cluster.kinds.by_object(version, kind);
            let kind = kind.unwrap_or_else(|| panic!("the kind of this object is not served: {object}"));
            let key = Key::of(&kind, &object);
            make_namespace(&mut state.cluster, &key.namespace);
            let stored = write(&mut state.cluster, kind, &key, object);
            react(state);
            stored.unwrap_or_else(|refusal| panic!("cannot put {key:?}: {refusal:?}"))
        })
    }

    /// An object, by kind (`Pod`) or resource (`pods`, `deployments.apps`).
    ///
    /// # Panics
    /// When the kind is not served.
    #[track_caller]
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = Key::new(&self.kind(kind).resource(), namespace, name);
        self.heart.look(|state| state.cluster.get(&key)).map(|object| (*object).clone())
    }

    /// All objects of a kind, in the order of namespace and name.
    ///
    /// # Panics
    /// When the kind is not served.
    #[track_caller]
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let resource = self.kind(kind).resource();
        let all = self.heart.look(|state| state.cluster.all_of(&resource));
        all.into_iter().map(|(_, object)| (*object).clone()).collect()
    }

    /// A typed object.
    ///
    /// # Panics
    /// When it cannot be decoded.
    #[track_caller]
    pub fn read<K>(&self, namespace: &str, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.object(&resource_of::<K>(), namespace, name).map(decoded)
    }

    /// All typed objects of a kind.
    ///
    /// # Panics
    /// When one cannot be decoded.
    #[track_caller]
    pub fn all<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.objects(&resource_of::<K>()).into_iter().map(decoded).collect()
    }

    /// Changes an object in place, status included, as a person with a terminal might.
    ///
    /// # Panics
    /// When it is absent, or a rule forbids the change.
    #[track_caller]
    pub fn edit(&self, kind: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
        let kind = self.kind(kind);
        let key = Key::new(&kind.resource(), namespace, name);
        self.heart.change(|state| {
            let object = state.cluster.get(&key).unwrap_or_else(|| panic!("nothing to edit at {key:?}"));
            let mut object = (*object).clone();
            change(&mut object);
            let stored = write(&mut state.cluster, kind, &key, object);
            react(state);
            stored.unwrap_or_else(|refusal| panic!("cannot edit {key:?}: {refusal:?}"))
        })
    }

    /// Deletes an object, as a request would: finalizers hold it, dependants go with it.
    ///
    /// # Panics
    /// When it is absent.
    #[track_caller]
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) {
        let kind = self.kind(kind);
        let key = Key::new(&kind.resource(), namespace, name);
        self.heart.change(|state| {
            let removed = state.cluster.delete(&kind, &key, &Deletion::default());
            removed.unwrap_or_else(|refusal| panic!("cannot remove {key:?}: {refusal:?}"));
            react(state);
        });
    }

    /// Takes an object out of the store, finalizers or not; its dependants become garbage.
    ///
    /// # Panics
    /// When the kind is not served.
    #[track_caller]
    pub fn erase(&self, kind: &str, namespace: &str, name: &str) {
        let key = Key::new(&self.kind(kind).resource(), namespace, name);
        self.heart.change(|state| {
            state.cluster.erase(&key);
            react(state);
        });
    }

    /// Serves one more kind.
    pub fn serve(&self, kind: Kind) {
        self.heart.change(|state| state.cluster.kinds.add(kind));
    }

    /// Stops serving a kind, as if its definition were missing: requests get 404.
    ///
    /// # Panics
    /// When the kind is not served.
    #[track_caller]
    pub fn stop_serving(&self, kind: &str) {
        let resource = self.kind(kind).resource();
        self.heart.change(|state| state.cluster.kinds.remove(&resource));
    }

    /// Declares that lists under this field name merge by these keys (`listType=map`).
    pub fn merge_by(&self, field: &str, keys: &[&str]) {
        self.heart.change(|state| state.cluster.merge_keys.add(field, keys));
    }

    /// Adds a hook of admission: it sees verb (`create`, `update`, `delete`) and object, and returns the
    /// object to store, changed or not, or a refusal. What it returns for `delete` is ignored. It runs while
    /// the world stands still, so it must not call the world.
    pub fn admit(&self, hook: impl Fn(&str, &Value) -> Answer<Value> + Send + Sync + 'static) {
        self.heart.change(|state| state.cluster.admission.push(Arc::new(hook)));
    }

    #[track_caller]
    pub(super) fn kind(&self, name: &str) -> Arc<Kind> {
        let known = self.heart.look(|state| state.cluster.kinds.by_name(name));
        known.unwrap_or_else(|| panic!("the kind {name} is not served"))
    }
}

fn write(cluster: &mut Cluster, kind: Arc<Kind>, key: &Key, object: Value) -> Answer<Value> {
    let write = Write { kind, key: key.clone(), part: Part::Whole, author: Author::updating(STAGEHAND) };
    if cluster.get(key).is_some() { cluster.replace(&write, object) } else { cluster.create(&write, object) }
}

fn make_namespace(cluster: &mut Cluster, name: &str) {
    let key = Key::new("namespaces", "", name);
    if !name.is_empty()
        && cluster.get(&key).is_none()
        && let Some(kind) = cluster.kinds.by_resource("namespaces")
    {
        write(cluster, kind, &key, json!(namespace(name))).expect("a namespace can be made");
    }
}

fn react(state: &mut State) {
    if state.actors.automatic {
        state.settle();
    }
}

fn resource_of<K: Resource<DynamicType = ()>>() -> String {
    let (plural, group) = (K::plural(&()), K::group(&()));
    if group.is_empty() { plural.into_owned() } else { format!("{plural}.{group}") }
}

#[track_caller]
fn decoded<K: DeserializeOwned>(object: Value) -> K {
    let shown = object.to_string();
    serde_json::from_value(object).unwrap_or_else(|error| panic!("cannot decode {shown}: {error}"))
}

impl Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}
