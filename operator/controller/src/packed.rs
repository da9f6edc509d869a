//! Children packed: metadata as it is, all else as one short text.
//!
//! Kubernetes' own types are made for reading. Of a Deployment with one container and one volume they take some thirty kilobytes,
//! nearly all of it fields that are not set; the text takes two or three. It is read again when a pass needs it.

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter};
use std::marker::PhantomData;

use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// An object of kind `K`, packed.
pub struct Packed<K> {
    metadata: ObjectMeta,
    /// JSON of the object without `apiVersion`, `kind` and `metadata`.
    rest: Box<str>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource<DynamicType = ()>> Packed<K> {
    /// The whole object as JSON.
    pub fn value(&self) -> Option<Value> {
        let mut whole: Map<String, Value> = serde_json::from_str(&self.rest).ok()?;
        whole.insert("apiVersion".to_owned(), K::api_version(&()).into());
        whole.insert("kind".to_owned(), K::kind(&()).into());
        whole.insert("metadata".to_owned(), serde_json::to_value(&self.metadata).ok()?);
        Some(whole.into())
    }

    /// The whole object as its own type; `None` if this version of the type cannot hold it.
    pub fn typed(&self) -> Option<K>
    where
        K: DeserializeOwned,
    {
        serde_json::from_value(self.value()?).ok()
    }
}

impl<'de, K> Deserialize<'de> for Packed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut whole = Map::deserialize(deserializer)?;
        let metadata = whole.remove("metadata").unwrap_or_default();
        whole.retain(|key, _| key != "apiVersion" && key != "kind");
        Ok(Self {
            metadata: ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?,
            rest: serde_json::to_string(&whole).map_err(D::Error::custom)?.into(),
            kind: PhantomData,
        })
    }
}

impl<K> Clone for Packed<K> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), rest: self.rest.clone(), kind: PhantomData }
    }
}

impl<K> Debug for Packed<K> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("metadata", &self.metadata).field("rest", &self.rest).finish()
    }
}

impl<K: Resource> Resource for Packed<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;
    use crate::seen::prune;

    #[test]
    fn what_is_packed_comes_out_whole_and_pruned() {
        let from_a_list = json!({
            "metadata": {"name": "chat", "namespace": "ai", "resourceVersion": "7", "managedFields": [{"manager": "us"}]},
            "spec": {"clusterIP": "10.0.0.1", "fieldOfTomorrow": {"kept": true}},
        });
        let mut packed: Packed<Service> = serde_json::from_value(from_a_list).unwrap();
        prune(&mut packed);
        let whole = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "chat", "namespace": "ai", "resourceVersion": "7"},
            "spec": {"clusterIP": "10.0.0.1", "fieldOfTomorrow": {"kept": true}},
        });
        assert_eq!(packed.value().unwrap(), whole);
        assert_eq!(packed.typed().unwrap().spec.unwrap().cluster_ip.unwrap(), "10.0.0.1");
        let from_a_watch: Packed<Service> = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(from_a_watch.value().unwrap(), whole);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(serde_json::from_value::<Packed<Service>>(json!({"metadata": {"name": 3}})).is_err());
        assert!(serde_json::from_value::<Packed<Service>>(json!("text")).is_err());
    }
}
