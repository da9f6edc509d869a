//! The catalogue: dated facts about models, accelerators and engines, compiled in.
//!
//! | To find | Open |
//! |---|---|
//! | the numbers, each with its date and source | `data/models.yaml`, `data/accelerators.yaml`, `data/engines.yaml` |
//! | what a model needs | [`model`] |
//! | what an accelerator has, and how a node shows it | [`accelerator`] |
//! | what an engine is started from | [`engine`] |
//! | how a mistyped name gets its suggestions | `nearest` |

pub mod accelerator;
pub mod engine;
pub mod model;
mod nearest;
mod scalar;
#[cfg(test)]
mod tests;

pub use accelerator::{AcceleratorEntry, Vendor};
pub use engine::EngineEntry;
pub use model::ModelEntry;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use deepseek_crds::v1alpha1::EngineType;

use nearest::nearest;

/// Everything the operator knows without being told. Entries keep the order of the data files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    models: Vec<ModelEntry>,
    accelerators: Vec<AcceleratorEntry>,
    engines: Vec<EngineEntry>,
}

static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the data is compiled in, and a test proves that it can be read")]
    Catalogue::read().expect("the compiled-in catalogue is well-formed")
});

impl Catalogue {
    /// The catalogue of this version of the operator.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    fn read() -> Result<Self, serde_saphyr::Error> {
        Ok(Self {
            models: serde_saphyr::from_str(include_str!("data/models.yaml"))?,
            accelerators: serde_saphyr::from_str(include_str!("data/accelerators.yaml"))?,
            engines: serde_saphyr::from_str(include_str!("data/engines.yaml"))?,
        })
    }

    /// All models.
    pub fn models(&self) -> &[ModelEntry] {
        &self.models
    }

    /// All accelerators.
    pub fn accelerators(&self) -> &[AcceleratorEntry] {
        &self.accelerators
    }

    /// The model of this name.
    pub fn model(&self, name: &str) -> Option<&ModelEntry> {
        self.models.iter().find(|entry| entry.name == name)
    }

    /// The accelerator of this product name.
    pub fn accelerator(&self, product: &str) -> Option<&AcceleratorEntry> {
        self.accelerators.iter().find(|entry| entry.product == product)
    }

    /// The accelerator that a node with these labels carries, whole and unshared; the first of the catalogue when the
    /// labels name several.
    pub fn accelerator_of(&self, labels: &BTreeMap<String, String>) -> Option<&AcceleratorEntry> {
        self.accelerators.iter().find(|entry| entry.is_shown_by(labels))
    }

    /// The engine of this type; `None` for one that this version does not know.
    pub fn engine(&self, engine: &EngineType) -> Option<&EngineEntry> {
        self.engines.iter().find(|entry| entry.engine == *engine)
    }

    /// Up to three models whose name was perhaps meant, the nearest first.
    pub fn nearest_models(&self, name: &str) -> Vec<&str> {
        nearest(name, self.models.iter().map(|entry| entry.name.as_str()))
    }

    /// Up to three accelerators whose name was perhaps meant, the nearest first.
    pub fn nearest_accelerators(&self, product: &str) -> Vec<&str> {
        nearest(product, self.accelerators.iter().map(|entry| entry.product.as_str()))
    }
}
