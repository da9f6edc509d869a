//! Deployments that should be, put together from adjectives.
//!
//! All of them ask for little, so that many fit on a small machine: it is the operator that is tested.

use deepseek_crds::DeepSeekDeployment;
use kube::Resource;
use serde_json::{Value, json};

use crate::options::Options;

/// The test model: its weights take a megabyte, and the catalogue knows it.
pub const TINY: &str = "deepseek-tiny";

/// A deployment that should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its spec, which may be one that the API refuses.
    pub spec: Value,
}

/// Served by the simulator, which needs no weights, on processors.
pub fn simulated(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        spec: json!({
            "model": {"name": TINY},
            "engine": {"type": "Simulator"},
            "accelerator": {"cpu": {}},
            "resources": {"cpu": "20m", "memory": "96Mi"},
            "shutdown": {"drainTimeout": "20s"},
        }),
    }
}

/// Served by the real llama.cpp with the tiny model, on processors.
pub fn real(name: &str, options: &Options) -> Wanted {
    simulated(name).but(json!({
        "model": {"source": {"image": {"reference": options.weights_image, "path": "model.gguf"}}},
        "engine": {"type": "LlamaCpp"},
    }))
}

impl Wanted {
    /// With changes, as a JSON merge patch of the spec: null removes.
    #[must_use]
    pub fn but(mut self, changes: Value) -> Self {
        merge(&mut self.spec, changes);
        self
    }

    /// On one accelerator of this product for each replica.
    #[must_use]
    pub fn on(self, product: &str) -> Self {
        self.but(json!({"accelerator": {"cpu": null, "anyOf": [{"product": product}]}}))
    }

    /// This many replicas.
    #[must_use]
    pub fn times(self, replicas: i32) -> Self {
        self.but(json!({"replicas": replicas}))
    }

    /// As it is applied.
    pub fn manifest(&self) -> Value {
        json!({
            "apiVersion": DeepSeekDeployment::api_version(&()),
            "kind": DeepSeekDeployment::kind(&()),
            "metadata": {"name": self.name},
            "spec": self.spec,
        })
    }
}

/// RFC 7386.
fn merge(target: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else {
        *target = changes;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, change) in changes {
        match change {
            Value::Null => drop(target.as_object_mut().and_then(|object| object.remove(&key))),
            change => merge(&mut target[&key], change),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_merged_and_null_removes() {
        let wanted = simulated("chat").on("nvidia-h100").times(2);
        assert_eq!(wanted.spec["accelerator"], json!({"anyOf": [{"product": "nvidia-h100"}]}));
        assert_eq!(wanted.spec["replicas"], 2);
        assert_eq!(wanted.spec["model"]["name"], TINY);
    }
}
