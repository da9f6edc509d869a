//! The gateway between clients and engines.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::engine::open_enum;
use super::patterns::{BYTES, CORES, DURATION, NAME};

open_enum! {
    /// How the gateway chooses among replicas.
    Routing {
        /// A conversation goes to the replica that has its beginning in its cache, unless that one has far more to do.
        PrefixAffinity = "PrefixAffinity",
        /// Of two replicas drawn at random the one with less to do.
        LeastLoad = "LeastLoad",
    }
}

open_enum! {
    /// How urgent requests are.
    PriorityClass {
        /// Batches that may be repeated; refused first.
        Low = "Low",
        /// Everything else.
        Normal = "Normal",
        /// What somebody waits for; served first.
        High = "High",
    }
}

/// The gateway: one address that stays up while replicas and nodes come and go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("self.replicas > 0 || (!has(self.authentication) && !has(self.tls))").message(
        "spec.gateway.replicas 0 leaves nobody to ask for API keys or to speak TLS; raise it, or remove \
         spec.gateway.authentication and spec.gateway.tls"
    ),
    validation = Rule::new("!has(self.clients) || self.clients.size() == 0 || has(self.authentication)").message(
        "spec.gateway.clients limits holders of API keys; set spec.gateway.authentication.apiKeysSecretName, or remove \
         spec.gateway.clients"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Gateway Pods, on different nodes where there are several. With 0 there is none: the Service leads straight to the
    /// engines, a lost node is noticed only by Kubernetes, and nothing is queued, retried or counted. Unit: Pods, 0 to 32.
    /// Default: 2. Example: 3.
    #[serde(default = "two_replicas")]
    #[schemars(range(min = 0, max = 32))]
    pub replicas: i32,

    /// How a replica is chosen for a request. Unit: one of PrefixAffinity, LeastLoad. Default: PrefixAffinity.
    /// Example: LeastLoad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,

    /// Who may send requests. Default: everybody who reaches the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,

    /// Encryption towards clients. Default: none, plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTls>,

    /// What holders of API keys may do; whoever is not named has no limits of its own. Unit: clients, at most 256. Default:
    /// none. Example: [{name: batch, priority: Low, requestsPerMinute: 60}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub clients: Vec<GatewayClient>,

    /// Limits of a request, and of those that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<GatewayLimits>,

    /// Whether each request is logged, without its content. Unit: true or false. Default: false. Example: true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub access_log: bool,

    /// Memory and processors of one gateway Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<GatewayResources>,
}

fn two_replicas() -> i32 {
    2
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            replicas: two_replicas(),
            routing: None,
            authentication: None,
            tls: None,
            clients: Vec::new(),
            limits: None,
            access_log: false,
            resources: None,
        }
    }
}

/// Who may send requests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// A Secret of this namespace with an entry for each client: the entry's name is the client's, its value the API key, or
    /// `sha256:` and the key's digest. It is mounted into the gateway; the operator never reads it. Unit: a Secret's name.
    /// Default: none, it is required. Example: chat-api-keys.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME))]
    pub api_keys_secret_name: String,
}

/// Encryption towards clients.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTls {
    /// A Secret of this namespace of type kubernetes.io/tls, with `tls.crt` and `tls.key`; a renewed one is taken over without
    /// a restart. Unit: a Secret's name. Default: none, it is required. Example: chat-tls.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME))]
    pub secret_name: String,
}

/// What the holder of an API key may do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClient {
    /// The client: the name of its entry in the Secret with the API keys. Unit: a name. Default: none, it is required.
    /// Example: batch.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub name: String,

    /// The most urgent class that its requests may have. Unit: one of Low, Normal, High. Default: High. Example: Low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<PriorityClass>,

    /// Requests that it may send, at each gateway Pod. Unit: requests per minute, 1 to 1000000. Default: any number.
    /// Example: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<i32>,

    /// Tokens that it may use, read and made, at each gateway Pod. Unit: tokens per minute, 1 to 1000000000. Default: any
    /// number. Example: 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_minute: Option<i32>,
}

/// Limits of a request, and of those that wait.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayLimits {
    /// Requests that may wait at one gateway Pod while all replicas are busy; others are refused with HTTP 429, the least
    /// urgent first. Unit: requests, 0 to 100000. Default: 1024. Example: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_queue_length: Option<i32>,

    /// Longest wait for a replica. Unit: a duration of hours, minutes and seconds. Default: 30s. Example: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub max_queue_time: Option<String>,

    /// Longest body of a request. Unit: a Kubernetes quantity of bytes, at most 1Gi. Default: 32Mi. Example: 4Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?(k|M|G|Ki|Mi|Gi)?$"))]
    pub max_body_size: Option<String>,

    /// Longest time until an engine begins to answer; reading a long prompt takes minutes. Unit: a duration of hours, minutes
    /// and seconds. Default: 10m. Example: 90s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub first_byte_timeout: Option<String>,

    /// Longest silence of an engine within a stream; then the stream ends with an error event. Unit: a duration of hours,
    /// minutes and seconds. Default: 15s. Example: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub inter_token_timeout: Option<String>,
}

/// Memory and processors of one gateway Pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResources {
    /// Processors that are reserved; more may be used when they are idle. Unit: a Kubernetes quantity of cores. Default: 50m.
    /// Example: "2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = CORES))]
    pub cpu: Option<String>,

    /// Memory that is reserved, and the most that may be used. Unit: a Kubernetes quantity of bytes. Default: 64Mi reserved,
    /// 1Gi at most. Example: 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = BYTES))]
    pub memory: Option<String>,
}
