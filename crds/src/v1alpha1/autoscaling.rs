//! How the number of replicas follows the load, in the words of `autoscaling/v2`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::autoscaling_limits::{ScaleToZero, ScalingAccelerators, ScalingSchedule};
use super::engine::open_enum;
use super::patterns::{DURATION, NUMBER};

open_enum! {
    /// Who sets the number of replicas.
    ScalingMode {
        /// The operator.
        Native = "Native",
        /// Somebody else, such as a HorizontalPodAutoscaler, KEDA or a person; the operator only says what it would do.
        External = "External",
    }
}

open_enum! {
    /// Where the number of a metric comes from.
    MetricType {
        /// A sum that belongs to no Pod: here, what all gateways of the deployment count together.
        External = "External",
    }
}

open_enum! {
    /// What gateways count.
    MetricName {
        /// Requests that arrive each second, those that are refused for want of room included.
        RequestsPerSecond = "deepseek_requests_per_second",
        /// Requests under way, those that wait included.
        RequestsInFlight = "deepseek_requests_in_flight",
        /// Requests that wait for a replica.
        RequestsQueued = "deepseek_requests_queued",
        /// Tokens that engines read and make each second.
        TokensPerSecond = "deepseek_tokens_per_second",
    }
}

open_enum! {
    /// How a number is compared with its target.
    TargetType {
        /// Divided by the replicas.
        AverageValue = "AverageValue",
    }
}

open_enum! {
    /// Which of several policies counts.
    SelectPolicy {
        /// The one that allows the largest change.
        Max = "Max",
        /// The one that allows the smallest change.
        Min = "Min",
        /// None: no change in this direction.
        Disabled = "Disabled",
    }
}

open_enum! {
    /// What a policy counts.
    PolicyType {
        /// Replicas.
        Pods = "Pods",
        /// Per cent of the replicas.
        Percent = "Percent",
    }
}

open_enum! {
    /// Whether something is done.
    Switch {
        /// It is done.
        Enabled = "Enabled",
        /// It is not done.
        Disabled = "Disabled",
    }
}

/// How the number of replicas follows the load. The operator then writes `spec.replicas`: leave that out of manifests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas").message(
        "spec.autoscaling.minReplicas is above spec.autoscaling.maxReplicas; lower minReplicas or raise maxReplicas"
    ),
    validation = Rule::new("self.minReplicas > 0 || has(self.scaleToZero)").message(
        "spec.autoscaling.minReplicas is 0, which needs spec.autoscaling.scaleToZero; write scaleToZero: {} for its defaults, or \
         raise minReplicas"
    ),
    validation = Rule::new("!has(self.target) || !has(self.metrics)").message(
        "spec.autoscaling.target is the short form of spec.autoscaling.metrics; remove one of them"
    ),
    validation = Rule::new("has(self.target) || has(self.metrics)").message(
        "spec.autoscaling says nothing to scale by; set spec.autoscaling.target, for example requestsPerSecond: \"2\""
    )
)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Who sets the number of replicas. Unit: one of Native (the operator), External (somebody else; the operator only says in
    /// the status what it would do). Default: Native. Example: External.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ScalingMode>,

    /// The least. 0 needs `scaleToZero`. Unit: replicas, 0 to 1000, at most `maxReplicas`. Default: 1. Example: 2.
    #[serde(default = "one_replica")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,

    /// The most: neither a burst nor a wrong number goes beyond it. Unit: replicas, 1 to 1000. Default: none, it is required.
    /// Example: 8.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// What one replica should get: the short form of `metrics`. Of several the one that needs the most replicas counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ScalingTarget>,

    /// The same in the form of autoscaling/v2. Unit: metrics, 1 to 4. Default: those of `target`. Example: [{type: External,
    /// external: {metric: {name: deepseek_requests_in_flight}, target: {type: AverageValue, averageValue: "16"}}}].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub metrics: Option<Vec<ScalingMetric>>,

    /// How fast it goes, as in autoscaling/v2. Default: up at once, by at most 4 replicas or 100 % in 15 s; down after 300 s or
    /// twice the time that a replica takes to be ready, whichever is longer, by at most 25 % a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<ScalingBehavior>,

    /// What is done about the time that a replica takes to be ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStart>,

    /// Other bounds at certain hours, such as more replicas before people come to work. Unit: schedules, up to 16. Default: none.
    /// Example: [{days: [Monday, Tuesday], start: "07:30", end: "18:00", timeZone: Europe/Berlin, minReplicas: 4}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub schedules: Vec<ScalingSchedule>,

    /// What accelerators allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerators: Option<ScalingAccelerators>,

    /// With `minReplicas: 0`, when no replica runs, and how long the first request is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_to_zero: Option<ScaleToZero>,
}

fn one_replica() -> i32 {
    1
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            mode: None,
            min_replicas: one_replica(),
            max_replicas: one_replica(),
            target: None,
            metrics: None,
            behavior: None,
            cold_start: None,
            schedules: Vec::new(),
            accelerators: None,
            scale_to_zero: None,
        }
    }
}

/// What one replica should get.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(
        "has(self.requestsPerSecond) || has(self.concurrency) || has(self.queued) || has(self.tokensPerSecond)"
    )
    .message("spec.autoscaling.target is empty; set requestsPerSecond, concurrency, queued or tokensPerSecond")
)]
#[serde(rename_all = "camelCase")]
pub struct ScalingTarget {
    /// Requests that arrive. Alone it does not see how long they take: set `concurrency`, too, unless all are alike. Unit:
    /// requests per second and replica, a Kubernetes quantity above 0. Default: not looked at. Example: "0.5".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = NUMBER))]
    #[x_kube(validation = Rule::new(POSITIVE).message(POSITIVE_SAYS))]
    pub requests_per_second: Option<String>,

    /// Requests under way, those that wait at the gateway included. Unit: requests per replica, a Kubernetes quantity above 0.
    /// Default: not looked at. Example: "16".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = NUMBER))]
    #[x_kube(validation = Rule::new(POSITIVE).message(POSITIVE_SAYS))]
    pub concurrency: Option<String>,

    /// Requests that wait at the gateway. Unit: requests per replica, a Kubernetes quantity above 0. Default: not looked at.
    /// Example: "4".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = NUMBER))]
    #[x_kube(validation = Rule::new(POSITIVE).message(POSITIVE_SAYS))]
    pub queued: Option<String>,

    /// Tokens, read and made, counted when an answer ends. Unit: tokens per second and replica, a Kubernetes quantity above 0.
    /// Default: not looked at. Example: "1500".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = NUMBER))]
    #[x_kube(validation = Rule::new(POSITIVE).message(POSITIVE_SAYS))]
    pub tokens_per_second: Option<String>,
}

/// The schema's pattern lets only digits, a point and a suffix pass, so a number without another digit than 0 is none.
const POSITIVE: &str = "self.matches('[1-9]')";
const POSITIVE_SAYS: &str = "the target of a replica must be above 0, for example \"2\" or \"500m\"; raise it";

/// A metric in the form of autoscaling/v2.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingMetric {
    /// Where the number comes from. Unit: External. Default: none, it is required. Example: External.
    #[serde(rename = "type")]
    pub type_: MetricType,

    /// A number of the deployment's gateways.
    pub external: ExternalMetric,
}

/// A number of the deployment's gateways.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalMetric {
    /// Which number.
    pub metric: MetricIdentifier,

    /// What it should be.
    pub target: MetricTarget,
}

/// Which number.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetricIdentifier {
    /// Its name. Unit: one of deepseek_requests_per_second, deepseek_requests_in_flight, deepseek_requests_queued,
    /// deepseek_tokens_per_second. Default: none, it is required. Example: deepseek_requests_per_second.
    pub name: MetricName,
}

/// What a number should be.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetricTarget {
    /// How it is compared. Unit: AverageValue, divided by the replicas; a target of the kind Value would shrink a deployment
    /// that loses replicas under load. Default: none, it is required. Example: AverageValue.
    #[serde(rename = "type")]
    pub type_: TargetType,

    /// What one replica should get. Unit: that of the metric, a Kubernetes quantity above 0. Default: none, it is required.
    /// Example: "2".
    #[schemars(length(min = 1, max = 16), regex(pattern = NUMBER))]
    #[x_kube(validation = Rule::new(POSITIVE).message(POSITIVE_SAYS))]
    pub average_value: String,
}

/// How fast it goes. As soon as it is there, the defaults of autoscaling/v2 fill in what it leaves out, but for the window down.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingBehavior {
    /// Up. Default: at once, by at most 4 replicas or 100 % in 15 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,

    /// Down. Default: after 300 s or twice the time that a replica takes to be ready, whichever is longer, as far as need be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast it goes in one direction.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// The most cautious recommendation of this time counts. What is set is kept to the letter, even if a replica takes longer
    /// to be ready. Unit: seconds, 0 to 3600. Default: 0 up; 300 down, or twice the time that a replica takes to be ready.
    /// Example: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,

    /// Which of several policies counts. Unit: one of Max (the largest change), Min, Disabled (no change). Default: Max.
    /// Example: Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,

    /// Bounds of the change. Unit: policies, 1 to 8. Default: up 4 Pods and 100 Percent in 15 s, down 100 Percent in 15 s.
    /// Example: [{type: Pods, value: 1, periodSeconds: 60}].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub policies: Option<Vec<ScalingPolicy>>,

    /// How far a metric may be from its target without any change. Unit: a share of the target, a Kubernetes quantity, at most
    /// 10. Default: 0.1 where there is behavior; else 0.05 up and 0.15 down. Example: "0.05".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), regex(pattern = r"^(10|[0-9](\.[0-9]+)?|[0-9]{1,4}m)$"))]
    pub tolerance: Option<String>,
}

/// A bound of the change.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// What is counted. Unit: one of Pods (replicas), Percent (of the replicas). Default: none, it is required. Example: Pods.
    #[serde(rename = "type")]
    pub type_: PolicyType,

    /// How many of them. Unit: replicas or per cent, 1 to 100000. Default: none, it is required. Example: 4.
    #[schemars(range(min = 1, max = 100_000))]
    pub value: i32,

    /// Within this time. Unit: seconds, 1 to 1800. Default: none, it is required. Example: 60.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

/// What is done about the time that a replica takes to be ready.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ColdStart {
    /// Whether replicas are ordered for the queue that grows until they are ready, with credit for those on their way. Unit: one
    /// of Enabled, Disabled. Default: Enabled. Example: Disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Switch>,

    /// From the creation of a replica to its first answer. Unit: a duration of hours, minutes and seconds. Default: learned from
    /// replicas that start; 60s until then. Example: 3m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub expected: Option<String>,
}
