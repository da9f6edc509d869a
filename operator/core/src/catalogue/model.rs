//! What a model needs: the size of its weights and of its key-value cache.

use std::collections::BTreeMap;

use deepseek_crds::unit::Bytes;
use deepseek_crds::v1alpha1::Precision;
use jiff::civil::Date;
use serde::Deserialize;

use super::scalar;

/// One model of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelEntry {
    /// What `spec.model.name` says, such as `deepseek-r1-distill-qwen-7b`.
    pub name: String,
    /// Identifier on the Hugging Face hub; none for a model that is not published there.
    #[serde(default)]
    pub repository: Option<String>,
    /// All parameters, active or not, rounded as the release states them.
    pub parameters: u64,
    /// Whether only some experts work on each token.
    pub mixture_of_experts: bool,
    /// Bytes of key-value cache for one token of one conversation, at 16 bits per value.
    pub kv_bytes_per_token: u64,
    /// Whether every tensor-parallel rank holds the whole cache, so that more accelerators do not divide it.
    pub kv_replicated: bool,
    /// Longest conversation the model was made for, in tokens.
    pub max_context_length: u32,
    /// Precision of the published release.
    pub default_precision: Precision,
    /// Bytes of all weights as they are loaded, for each precision that can be had.
    #[serde(deserialize_with = "scalar::bytes_by_key")]
    pub weights: BTreeMap<Precision, Bytes>,
    /// Day on which the entry was checked.
    #[serde(deserialize_with = "scalar::date")]
    pub as_of: Date,
    /// Public sources of the numbers.
    pub source: String,
}

impl ModelEntry {
    /// Bytes of the weights in a precision; `None` when the catalogue knows no such release.
    pub fn weights_in(&self, precision: &Precision) -> Option<Bytes> {
        self.weights.get(precision).copied()
    }
}
