//! What an accelerator has, and how a node shows that it carries one.

use std::collections::BTreeMap;
use std::fmt;

use deepseek_crds::unit::Bytes;
use jiff::civil::Date;
use serde::Deserialize;

use super::scalar;

/// Who makes an accelerator; it decides which image an engine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Vendor {
    /// NVIDIA: CUDA.
    #[serde(rename = "NVIDIA")]
    Nvidia,
    /// AMD: `ROCm`.
    #[serde(rename = "AMD")]
    Amd,
    /// Huawei: Ascend with CANN.
    Huawei,
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvidia => "NVIDIA",
            Self::Amd => "AMD",
            Self::Huawei => "Huawei",
        })
    }
}

/// One accelerator product of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceleratorEntry {
    /// What `spec.accelerator.anyOf[].product` says, such as `nvidia-h200`.
    pub product: String,
    /// Who makes it.
    pub vendor: Vendor,
    /// Memory of one, as its vendor advertises it.
    #[serde(deserialize_with = "scalar::bytes")]
    pub memory: Bytes,
    /// Extended resource that a Pod asks for to get one, such as `nvidia.com/gpu`.
    pub resource: String,
    /// Node labels that name the product: any key with any of its values, compared exactly.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Day on which the entry was checked.
    #[serde(deserialize_with = "scalar::date")]
    pub as_of: Date,
    /// Public sources of the numbers and labels.
    pub source: String,
}

impl AcceleratorEntry {
    /// Whether a node with these labels carries whole accelerators of this product.
    pub fn is_shown_by(&self, labels: &BTreeMap<String, String>) -> bool {
        !is_divided(labels)
            && self.labels.iter().any(|(key, values)| labels.get(key).is_some_and(|value| values.contains(value)))
    }
}

/// Whether one unit of the node's resource is less than a whole accelerator.
///
/// NVIDIA GPU Feature Discovery names the way of sharing (`none` when there is none) even where the product's name
/// has no suffix; the AMD node labeller names the partition (`spx` is a single one that holds everything).
fn is_divided(labels: &BTreeMap<String, String>) -> bool {
    labels.get("nvidia.com/gpu.sharing-strategy").is_some_and(|way| way != "none")
        || labels.get("amd.com/compute-memory-partition").is_some_and(|part| !part.starts_with("spx"))
}
