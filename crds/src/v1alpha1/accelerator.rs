//! On what a deployment runs.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::patterns::NAME;

/// What may carry a replica: one of several accelerators, or plain processors.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("[has(self.anyOf), has(self.cpu)].exists_one(x, x)").message(
        "spec.accelerator needs exactly one of anyOf and cpu; set one, or leave spec.accelerator out to take whatever fits"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Accelerator {
    /// Accelerators that are welcome, the preferred one first. Unit: choices, 1 to 8. Default: every accelerator of the
    /// cluster. Example: [{product: nvidia-h200, count: 8}].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub any_of: Option<Vec<AcceleratorChoice>>,

    /// No accelerator: for small models, tests and the edge. Unit: an object without fields. Default: none, accelerators are
    /// taken. Example: {}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
}

/// One accelerator product and how many of it a replica gets.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AcceleratorChoice {
    /// Product in the catalogue. Unit: lower-case words joined by '-'. Default: none, it is required. Example: nvidia-h200.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub product: String,

    /// How many for each replica. Unit: accelerators, 1 to 64. Default: the smallest number that fits. Example: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub count: Option<i32>,
}

/// Runs on processors. It has no fields yet: processors and memory are under `spec.resources`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {}
