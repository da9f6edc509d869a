//! How a replica is stopped.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::patterns::DURATION;

/// How a replica is stopped.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Shutdown {
    /// How long running answers may take to finish when a replica is stopped. Unit: a duration of hours, minutes and
    /// seconds, at most 24h. Default: 10m. Example: 90s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    #[x_kube(validation = Rule::new("duration(self) <= duration('24h')").message(
        "drainTimeout may be at most 24h; choose a shorter one"
    ))]
    pub drain_timeout: Option<String>,
}
