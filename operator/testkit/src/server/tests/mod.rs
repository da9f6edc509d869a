//! The API server as a real client sees it.

mod faulty;
mod objects;
mod reads;
mod shapes;
mod watches;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::World;

fn config_maps(world: &World) -> Api<ConfigMap> {
    Api::default_namespaced(world.client())
}

fn deepseeks(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("deepseek-operator.io", "v1alpha1", "DeepSeekDeployment");
    Api::default_namespaced_with(world.client(), &ApiResource::from_gvk(&kind))
}

fn map_of(name: &str, data: Value) -> Value {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    map["data"] = data;
    map
}

async fn apply(world: &World, name: &str, data: Value) -> kube::Result<ConfigMap> {
    let ours = PatchParams::apply("us").validation_strict();
    config_maps(world).patch(name, &ours, &Patch::Apply(map_of(name, data))).await
}

/// The code of a refusal.
#[track_caller]
fn code<T>(result: kube::Result<T>) -> u16 {
    match result.err() {
        Some(kube::Error::Api(status)) => status.code,
        other => panic!("not a refusal: {other:?}"),
    }
}
