//! What the operator saw.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::autoscaling_status::AutoscalingStatus;

/// What the operator saw. Only the operator writes it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeepSeekDeploymentStatus {
    /// The `metadata.generation` that all of this is about. Unit: a generation. Default: none. Example: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Replicas that exist, of the revision that is served. Unit: replicas. Default: 0. Example: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Replicas that answered the operator's last canary. Unit: replicas. Default: 0. Example: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,

    /// `readyReplicas` of the replicas wanted, for people. Unit: two numbers. Default: none. Example: 1/2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,

    /// Label selector of the serving Pods, for the scale subresource. Unit: a label selector. Default: none.
    /// Example: deepseek-operator.io/deployment=chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Where clients send requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointStatus>,

    /// The model, with every default filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,

    /// Where and how it runs, with every default filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementStatus>,

    /// What is known of scaling; absent where nothing scales.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingStatus>,

    /// The state in the form of Kubernetes conditions; `Ready` sums it up. Unit: conditions, at most 32, one of each type.
    /// Default: `Ready` is Unknown, with reason Pending, until the operator has seen the object. Example: [{type: Ready,
    /// status: "True", reason: AllReplicasAnswer, message: Every replica answers the operator's canary., …}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

/// Where clients send requests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// Base address for OpenAI clients inside the cluster. Unit: a URL. Default: none. Example: http://chat.ai.svc:8000/v1.
    pub url: String,
}

/// The model, with every default filled in.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// Name in the catalogue, or of the custom model. Unit: a name. Default: none. Example: deepseek-r1-distill-qwen-7b.
    pub name: String,

    /// Precision that is served. Unit: a number format, or a GGUF type. Default: none. Example: Q4_K_M.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,

    /// Size of the weights. Unit: bytes. Default: none. Example: 4220000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bytes: Option<i64>,
}

/// Where and how it runs, with every default filled in.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlacementStatus {
    /// Product of the accelerator, or `cpu`. Unit: a catalogue name. Default: none. Example: nvidia-h200.
    pub accelerator: String,

    /// Accelerators of one replica. Unit: accelerators. Default: 0. Example: 8.
    pub per_replica: i32,

    /// Inference server. Unit: an engine type. Default: none. Example: LlamaCpp.
    pub engine: String,

    /// Longest conversation that is served. Unit: tokens. Default: none. Example: 32768.
    pub context_length: i32,

    /// Conversations that one replica works on at once. Unit: sequences. Default: none. Example: 8.
    pub max_concurrent_sequences: i32,

    /// The arithmetic behind the choice, in words. Unit: text. Default: none. Example: weights 4.2 GB + … .
    pub explanation: String,
}
