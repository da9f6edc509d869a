//! What is known of scaling, and what was decided.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::autoscaling::{MetricIdentifier, MetricType};

/// What is known of scaling, and what was decided. Numbers alone are written at most once a minute, and only if they have moved.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalingStatus {
    /// Replicas that were wanted when it was decided. Unit: replicas. Default: none. Example: 2.
    pub current_replicas: i32,

    /// Replicas that should be wanted. Unit: replicas. Default: none. Example: 5.
    pub desired_replicas: i32,

    /// When the number was changed last. Unit: a time. Default: never. Example: "2026-01-01T00:00:00Z".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<Time>,

    /// Before this nothing goes down, because of what was needed before. Unit: a time. Default: nothing waits to go down.
    /// Example: "2026-01-01T00:05:00Z".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_scale_down_time: Option<Time>,

    /// Metrics and their targets, for people. Unit: text. Default: none. Example: rps 1.9/2 (avg), inflight 9/16 (avg).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<String>,

    /// The metrics as they were read last, in the form of autoscaling/v2, in the order of the spec. Unit: metrics. Default: none.
    /// Example: [{type: External, external: {metric: {name: deepseek_requests_per_second}, current: {averageValue: 1900m}}}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub current_metrics: Vec<MetricStatus>,

    /// How long replicas took to be ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStartStatus>,

    /// What a replica at work has ended, as far as it was learned. Unit: requests per second, a Kubernetes quantity. Default: not
    /// learned yet. Example: 2700m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_rate: Option<String>,

    /// The last changes, the newest first. Unit: changes, at most 5. Default: none. Example: [{time: "2026-01-01T00:00:00Z",
    /// from: 1, to: 5, reason: external metric deepseek_requests_per_second above target}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "atomic"))]
    pub recent_decisions: Vec<ScalingDecision>,
}

/// A metric as it was read last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetricStatus {
    /// Where the number comes from. Unit: External. Default: none. Example: External.
    #[serde(rename = "type")]
    pub type_: MetricType,

    /// A number of the deployment's gateways.
    pub external: ExternalMetricStatus,
}

/// A number of the deployment's gateways.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalMetricStatus {
    /// Which number.
    pub metric: MetricIdentifier,

    /// What it was; absent when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<MetricValueStatus>,
}

/// What a number was.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetricValueStatus {
    /// Divided by the replicas. Unit: that of the metric, a Kubernetes quantity. Default: none. Example: 1900m.
    pub average_value: String,
}

/// How long replicas took to be ready, from their creation to their first answer.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ColdStartStatus {
    /// Half of them were faster. Unit: seconds. Default: none. Example: 90.
    pub p50_seconds: i32,

    /// Nine of ten were faster; this is what is reckoned with, unless spec.autoscaling.coldStart.expected is set. Unit: seconds.
    /// Default: none. Example: 140.
    pub p90_seconds: i32,

    /// As many were watched. Unit: replicas, at most 20. Default: none. Example: 7.
    pub samples: i32,
}

/// A change of the number of replicas.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingDecision {
    /// When. Unit: a time. Default: none. Example: "2026-01-01T00:00:00Z".
    pub time: Time,

    /// Replicas before. Unit: replicas. Default: none. Example: 1.
    pub from: i32,

    /// Replicas from then on. Unit: replicas. Default: none. Example: 5.
    pub to: i32,

    /// Why. Unit: text. Default: none. Example: external metric deepseek_requests_per_second above target.
    pub reason: String,
}
