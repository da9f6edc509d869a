//! The kinds this API server serves, and what makes each of them special.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

/// One kind of object, as discovery shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts of discovery, each independent of the others")]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Name in the path, such as `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether the status has a door of its own (`/status`).
    pub status: bool,
    /// Whether `/scale` reads and writes `spec.replicas`.
    pub scale: bool,
    /// Whether `metadata.generation` counts the changes of the spec.
    pub generation: bool,
    /// Whether it comes from a `CustomResourceDefinition`: stricter updates, typed list items.
    pub custom: bool,
    /// JSON pointers of fields which never change once set.
    pub fixed: Vec<&'static str>,
}

impl Kind {
    /// A built-in kind without subresources.
    pub fn of(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced: true,
            status: false,
            scale: false,
            generation: false,
            custom: false,
            fixed: Vec::new(),
        }
    }

    /// A custom kind: status subresource and generation, as our own have.
    pub fn custom(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self { custom: true, ..Self::of(group, version, kind, plural).with_status().with_generation() }
    }

    /// The same kind, outside namespaces.
    #[must_use]
    pub fn cluster_wide(self) -> Self {
        Self { namespaced: false, ..self }
    }

    /// The same kind, with `/status`.
    #[must_use]
    pub fn with_status(self) -> Self {
        Self { status: true, ..self }
    }

    /// The same kind, with `/scale`.
    #[must_use]
    pub fn with_scale(self) -> Self {
        Self { scale: true, ..self }
    }

    /// The same kind, counting the changes of its spec.
    #[must_use]
    pub fn with_generation(self) -> Self {
        Self { generation: true, ..self }
    }

    /// The same kind, with a field (a JSON pointer) which never changes once set.
    #[must_use]
    pub fn fixing(mut self, pointer: &'static str) -> Self {
        self.fixed.push(pointer);
        self
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Its name among all resources: `deployments.apps`, `pods`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Its entries in discovery: itself and its subresources.
    pub(crate) fn discovery(&self) -> Vec<Value> {
        let verbs = json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
        let mut entries = vec![json!({
            "name": self.plural, "singularName": self.kind.to_lowercase(), "namespaced": self.namespaced,
            "group": self.group, "version": self.version, "kind": self.kind, "verbs": verbs,
        })];
        for (served, door, kind) in [(self.status, "status", self.kind.as_str()), (self.scale, "scale", "Scale")] {
            if served {
                entries.push(json!({
                    "name": format!("{}/{door}", self.plural), "singularName": "",
                    "namespaced": self.namespaced, "kind": kind, "verbs": ["get", "patch", "update"],
                }));
            }
        }
        entries
    }
}

/// All kinds, by their name among all resources.
#[derive(Clone, Debug)]
pub(crate) struct Kinds(BTreeMap<String, Arc<Kind>>);

impl Kinds {
    /// The kinds the operator reads or writes.
    pub(crate) fn built_in() -> Self {
        let mut kinds = Self(BTreeMap::new());
        core().into_iter().chain(grouped()).for_each(|kind| kinds.add(kind));
        kinds
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        self.0.insert(kind.resource(), Arc::new(kind));
    }

    pub(crate) fn remove(&mut self, resource: &str) {
        self.0.remove(resource);
    }

    pub(crate) fn by_path(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.0.values().find(|kind| kind.group == group && kind.version == version && kind.plural == plural).cloned()
    }

    pub(crate) fn by_object(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        self.0.values().find(|known| known.kind == kind && known.api_version() == api_version).cloned()
    }

    /// By resource name first, then by bare kind or plural; the core group wins where two share one.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Kind>> {
        self.0.get(name).cloned().or_else(|| {
            let mut matching: Vec<_> =
                self.0.values().filter(|kind| kind.kind == name || kind.plural == name).collect();
            matching.sort_by_key(|kind| kind.group.clone());
            matching.first().map(|kind| Arc::clone(kind))
        })
    }

    pub(crate) fn by_resource(&self, resource: &str) -> Option<Arc<Kind>> {
        self.0.get(resource).cloned()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values()
    }
}

fn core() -> Vec<Kind> {
    let kind = |kind, plural| Kind::of("", "v1", kind, plural);
    vec![
        kind("Namespace", "namespaces").cluster_wide().with_status(),
        kind("Node", "nodes").cluster_wide().with_status(),
        kind("Pod", "pods").with_status().with_generation(),
        kind("Service", "services").with_status(),
        kind("ServiceAccount", "serviceaccounts"),
        kind("ConfigMap", "configmaps"),
        kind("Secret", "secrets").fixing("/type"),
        kind("PersistentVolumeClaim", "persistentvolumeclaims")
            .with_status()
            .fixing("/spec/storageClassName")
            .fixing("/spec/accessModes"),
        kind("Event", "events"),
    ]
}

fn grouped() -> Vec<Kind> {
    let workload = |kind, plural| Kind::of("apps", "v1", kind, plural).with_status().with_scale().with_generation();
    let rbac = |kind, plural| Kind::of("rbac.authorization.k8s.io", "v1", kind, plural);
    vec![
        Kind::of("events.k8s.io", "v1", "Event", "events"),
        workload("Deployment", "deployments").fixing("/spec/selector"),
        workload("ReplicaSet", "replicasets").fixing("/spec/selector"),
        Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets").with_status().with_generation(),
        Kind::of("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies").with_generation(),
        rbac("Role", "roles"),
        rbac("RoleBinding", "rolebindings").fixing("/roleRef"),
        Kind::of("coordination.k8s.io", "v1", "Lease", "leases"),
        Kind::of("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices").with_generation().fixing("/addressType"),
        Kind::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
            .cluster_wide()
            .with_status()
            .with_generation(),
        Kind::custom("deepseek-operator.io", "v1alpha1", "DeepSeekDeployment", "deepseekdeployments").with_scale(),
    ]
}
