//! Which nodes may be used.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Which nodes may be used, in the words of a Pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Labels a node must have. Unit: label names and values, at most 16. Default: none, every node. Example: {pool: inference}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[x_kube(validation = Rule::new("self.all(key, key.size() <= 317)").message(
        "a label's name has at most 317 characters; correct spec.placement.nodeSelector"
    ))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that are accepted, beside those of accelerator nodes. Unit: tolerations, at most 16. Default: none.
    /// Example: [{key: dedicated, operator: Equal, value: inference, effect: NoSchedule}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new(
        "self.all(t, (!has(t.key) || t.key.size() <= 317) && (!has(t.value) || t.value.size() <= 63))"
    ).message(
        "a toleration's key has at most 317 characters and its value 63; correct spec.placement.tolerations"
    ))]
    pub tolerations: Vec<Toleration>,
}
