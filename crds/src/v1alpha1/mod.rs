//! `deepseek-operator.io/v1alpha1`: the root object; each noun of the spec has its own file.

mod accelerator;
mod autoscaling;
mod autoscaling_limits;
mod autoscaling_status;
mod engine;
mod gateway;
mod model;
mod patterns;
mod placement;
mod resources;
mod shutdown;
mod status;

pub use accelerator::{Accelerator, AcceleratorChoice, Cpu};
pub use autoscaling::{
    Autoscaling, ColdStart, ExternalMetric, MetricIdentifier, MetricName, MetricTarget, MetricType, PolicyType,
    ScalingBehavior, ScalingMetric, ScalingMode, ScalingPolicy, ScalingRules, ScalingTarget, SelectPolicy, Switch,
    TargetType,
};
pub use autoscaling_limits::{ScaleToZero, ScalingAccelerators, ScalingSchedule, Weekday, WhenUnschedulable};
pub use autoscaling_status::{
    AutoscalingStatus, ColdStartStatus, ExternalMetricStatus, MetricStatus, MetricValueStatus, ScalingDecision,
};
pub use engine::{Engine, EngineType, EnvVar};
pub use gateway::{
    Authentication, Gateway, GatewayClient, GatewayLimits, GatewayResources, GatewayTls, PriorityClass, Routing,
};
pub use model::{ClaimSource, CustomModel, ImageSource, Model, ModelSource, Precision};
pub use placement::Placement;
pub use resources::Resources;
pub use shutdown::Shutdown;
pub use status::{DeepSeekDeploymentStatus, EndpointStatus, ModelStatus, PlacementStatus};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// One DeepSeek model, served by an inference engine on accelerators behind one OpenAI-compatible address.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "deepseek-operator.io",
    version = "v1alpha1",
    kind = "DeepSeekDeployment",
    plural = "deepseekdeployments",
    singular = "deepseekdeployment",
    shortname = "dsd",
    category = "deepseek",
    namespaced,
    doc = "One DeepSeek model, served by an inference engine on accelerators behind one OpenAI-compatible address.",
    status = "DeepSeekDeploymentStatus",
    derive = "PartialEq",
    derive = "Default",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Model",
        type_ = "string",
        json_path = ".spec.model.name",
        description = "Catalogue name of the model."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.ready",
        description = "Replicas that answered the last canary, of those wanted."
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".spec.replicas",
        description = "Replicas wanted."
    ),
    printcolumn(
        name = "Targets",
        type_ = "string",
        json_path = ".status.autoscaling.targets",
        description = "What each replica gets, and what it should get; of those that scale with the load."
    ),
    printcolumn(
        name = "Min",
        type_ = "integer",
        json_path = ".spec.autoscaling.minReplicas",
        description = "The least number of replicas."
    ),
    printcolumn(
        name = "Max",
        type_ = "integer",
        json_path = ".spec.autoscaling.maxReplicas",
        description = "The greatest number of replicas."
    ),
    printcolumn(
        name = "Engine",
        type_ = "string",
        json_path = ".status.placement.engine",
        description = "Inference server.",
        priority = 1
    ),
    printcolumn(
        name = "Accelerator",
        type_ = "string",
        json_path = ".status.placement.accelerator",
        description = "Accelerator product that was chosen.",
        priority = 1
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.endpoint.url",
        description = "Base address for OpenAI clients in this cluster.",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is ready, or why it is not.",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation."
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')").message(
        "metadata.name becomes the name of a Service: it must start with a lower-case letter, continue with lower-case \
         letters, digits or '-', end with a letter or digit, and have at most 63 characters; rename the deployment"
    )
)]
#[x_kube(
    validation = Rule::new(
        "has(self.model.source) || (has(self.engine) && has(self.engine.type) && self.engine.type in ['Simulator', 'Custom'])"
    )
    .message(
        "spec.model.source is required for the engine LlamaCpp; set spec.model.source.persistentVolumeClaim or \
         spec.model.source.image, or choose another spec.engine.type"
    ),
    validation = Rule::new(
        "!has(self.autoscaling) || !has(self.gateway) || self.gateway.replicas > 0"
    )
    .message(
        "spec.autoscaling goes by what gateways count, and spec.gateway.replicas is 0; raise it, or remove spec.autoscaling"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct DeepSeekDeploymentSpec {
    /// What is served: a model of the catalogue, or any other by its facts, and where its weights lie.
    pub model: Model,

    /// The inference server. Default: chosen by model and accelerator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,

    /// On what it runs. Default: whatever in the cluster fits, smallest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<Accelerator>,

    /// Number of whole engines that serve. Where there is spec.autoscaling, leave it out: the operator writes it, and 0 by hand
    /// pauses that until it is raised again. Unit: replicas, 0 to 1000. Default: 1. Example: 2.
    #[serde(default = "one_replica")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// How the number of replicas follows the load. Default: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Memory and processors of one replica, beside its accelerators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Which nodes may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,

    /// How a replica is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<Shutdown>,

    /// The gateway between clients and engines. Default: two Pods of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,

    /// True frees all accelerators and keeps everything else. It wins over the rest of the spec: a deployment that is refused
    /// or has no place is suspended all the same; `Accepted` and `Progressing` say what else is wrong. Unit: true or false.
    /// Default: false. Example: true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn one_replica() -> i32 {
    1
}
