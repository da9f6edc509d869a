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
    #[schemars(extend("maxProperties" = 16), inner(length(max = 63)))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that are accepted, beside those of accelerator nodes. Unit: tolerations, at most 16. Default: none.
    /// Example: [{key: dedicated, operator: Equal, value: inference, effect: NoSchedule}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
}
