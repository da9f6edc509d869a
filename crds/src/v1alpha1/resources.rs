//! Memory and processors of one replica.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{BYTES, CORES};

/// Memory and processors of one replica, beside its accelerators.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Processors that are reserved; more may be used when they are idle. Unit: a Kubernetes quantity of cores. Default: 1
    /// per replica. Example: "8".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = CORES))]
    pub cpu: Option<String>,

    /// Memory of the host that is reserved, and the most that may be used. Unit: a Kubernetes quantity of bytes. Default:
    /// from the fit. Example: 64Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = BYTES))]
    pub memory: Option<String>,

    /// Shared memory between the processes of one engine; it counts as memory. Unit: a Kubernetes quantity of bytes.
    /// Default: none. Example: 16Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = BYTES))]
    pub shared_memory: Option<String>,
}
