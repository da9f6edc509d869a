//! What an engine is started from, and which weights it loads.

use deepseek_crds::v1alpha1::{EngineType, Precision};
use jiff::civil::Date;
use serde::Deserialize;

use super::accelerator::Vendor;
use super::scalar;

/// One engine of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineEntry {
    /// Which engine.
    pub engine: EngineType,
    /// Upstream images, for when the deployment names none.
    #[serde(default)]
    pub images: Images,
    /// Conversations at once unless the deployment asks for another number; the fit may allow fewer.
    pub default_max_sequences: u32,
    /// Precisions it loads; `None` when it loads whatever it is given.
    #[serde(default)]
    pub precisions: Option<Vec<Precision>>,
    /// Day on which the entry was checked.
    #[serde(deserialize_with = "scalar::date")]
    pub as_of: Date,
    /// Public sources of the entry.
    pub source: String,
}

/// Images of one engine, each with a tag that names a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// For NVIDIA accelerators.
    pub nvidia: Option<String>,
    /// For AMD accelerators.
    pub amd: Option<String>,
    /// For Huawei accelerators.
    pub huawei: Option<String>,
    /// For processors alone.
    pub cpu: Option<String>,
}

impl EngineEntry {
    /// Upstream image for a vendor's accelerators, or for processors alone when there is none.
    ///
    /// `None` when upstream publishes no such image; the deployment has to name one.
    pub fn image(&self, vendor: Option<Vendor>) -> Option<&str> {
        match vendor {
            Some(Vendor::Nvidia) => self.images.nvidia.as_deref(),
            Some(Vendor::Amd) => self.images.amd.as_deref(),
            Some(Vendor::Huawei) => self.images.huawei.as_deref(),
            None => self.images.cpu.as_deref(),
        }
    }

    /// Whether the engine loads weights of this precision.
    pub fn loads(&self, precision: &Precision) -> bool {
        self.precisions.as_ref().is_none_or(|known| known.contains(precision))
    }
}
