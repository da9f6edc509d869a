//! What is served, and where its weights lie.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::engine::open_enum;
use super::patterns::{BYTES, IMAGE, NAME, PATH};

/// A model: its name in the catalogue (or facts of its own), how clients call it, and the source of its weights.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Name in the catalogue, or any name when `custom` gives the facts. Unit: lower-case words joined by '-' or '.', at
    /// most 63 characters. Default: none, it is required. Example: deepseek-r1-distill-qwen-7b.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub name: String,

    /// What clients put into "model"; all of them reach this deployment. Unit: names of at most 128 characters, at most 16.
    /// Default: the model's name. Example: [deepseek-r1, default].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub served_names: Vec<String>,

    /// Precision of the weights. Unit: a number format, or a GGUF type. Default: the catalogue's for this model. Example: BF16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,

    /// Longest conversation, prompt and answer together. Unit: tokens, 128 to 10000000. Default: what fits, at most the
    /// model's own. Example: 32768.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 128, max = 10_000_000))]
    pub context_length: Option<i32>,

    /// Where the weights come from; exactly one member. LlamaCpp needs it; a Simulator has no weights, and a Custom engine
    /// may bring its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ModelSource>,

    /// Facts about a model that the catalogue does not know. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomModel>,
}

/// Where the weights come from; exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("[has(self.persistentVolumeClaim), has(self.image)].exists_one(x, x)").message(
        "spec.model.source needs exactly one of persistentVolumeClaim and image; set one and remove the other"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ModelSource {
    /// A persistent volume claim of the same namespace that already holds the weights. It is mounted read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimSource>,

    /// An OCI image that holds the weights. It is mounted read-only as an image volume (Kubernetes 1.35 or newer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
}

/// Weights on a persistent volume claim.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClaimSource {
    /// Name of the claim, in the deployment's namespace. Unit: an object name. Default: none, it is required. Example: weights.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME))]
    pub claim_name: String,

    /// File or folder of the weights inside the volume. Unit: a relative path without '..'. Default: the volume's root.
    /// Example: r1-7b/model.gguf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = PATH))]
    #[x_kube(validation = Rule::new("!self.split('/').exists(p, p == '..' || p == '.')").message(
        "path must stay inside the volume: remove '.' and '..'"
    ))]
    pub path: Option<String>,
}

/// Weights in an OCI image.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageSource {
    /// The image. A digest is recommended: a tag may come to mean other weights. Unit: an image reference. Default: none,
    /// it is required. Example: example.org/weights/r1-7b@sha256:… .
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE))]
    pub reference: String,

    /// File or folder of the weights inside the image. Unit: a relative path without '..'. Default: the image's root.
    /// Example: model.gguf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = PATH))]
    #[x_kube(validation = Rule::new("!self.split('/').exists(p, p == '..' || p == '.')").message(
        "path must stay inside the image: remove '.' and '..'"
    ))]
    pub path: Option<String>,

    /// Secrets with registry credentials, in the deployment's namespace. Unit: Secret names, at most 8. Default: none.
    /// Example: [registry].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub pull_secret_names: Vec<String>,
}

/// Facts about a model that the catalogue does not know; they decide what it fits on.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CustomModel {
    /// Size of all weights as they are loaded. Unit: a Kubernetes quantity of bytes. Default: none, it is required.
    /// Example: 15Gi.
    #[schemars(length(min = 1, max = 32), regex(pattern = BYTES))]
    pub weight_bytes: String,

    /// Memory of the key-value cache for one token of one conversation. Unit: bytes, 1 to 10000000. Default: none, it is
    /// required. Example: 57344.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub kv_bytes_per_token: i64,

    /// Longest conversation the model was made for. Unit: tokens, 128 to 10000000. Default: none, it is required.
    /// Example: 131072.
    #[schemars(range(min = 128, max = 10_000_000))]
    pub max_context_length: i32,
}

open_enum! {
    /// Precision of the weights: a number format, or a GGUF type for llama.cpp.
    Precision {
        /// 16-bit brain floating point.
        Bf16 = "BF16",
        /// 16-bit IEEE floating point.
        F16 = "F16",
        /// 32-bit IEEE floating point.
        F32 = "F32",
        /// 8-bit floating point.
        Fp8 = "FP8",
        /// 8-bit integer.
        Int8 = "INT8",
        /// 4-bit integer.
        Int4 = "INT4",
        /// GGUF, 8.5 bits per weight.
        Q8_0 = "Q8_0",
        /// GGUF, about 6.6 bits per weight.
        Q6K = "Q6_K",
        /// GGUF, about 5.7 bits per weight.
        Q5KM = "Q5_K_M",
        /// GGUF, about 4.9 bits per weight.
        Q4KM = "Q4_K_M",
        /// GGUF, about 4.6 bits per weight.
        Q4_0 = "Q4_0",
    }
}
