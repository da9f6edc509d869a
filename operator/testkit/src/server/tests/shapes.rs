//! What a valid object looks like, and which kinds there are.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{code, deepseeks};
use crate::World;
use crate::fixtures::any;

/// The code and message with which the server refuses to have this object applied.
async fn refused<K>(object: Value) -> (u16, String)
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::default_namespaced(World::new().client());
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let us = PatchParams::apply("us").validation_strict();
    match api.patch(&name, &us, &Patch::Apply(object)).await.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("{other}"),
    }
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": 1}}}]},
        }},
    })
}

fn service(name: &str, ports: Value) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}});
    service["spec"]["ports"] = ports;
    service
}

#[tokio::test]
async fn wrong_types_and_unknown_fields_are_named() {
    let mut object = deployment();
    object["spec"]["replicas"] = json!("two");
    let (code, message) = refused::<Deployment>(object).await;
    assert_eq!(code, 400, "{message}");
    let mut object = deployment();
    object["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = json!("Always");
    let (code, message) = refused::<Deployment>(object).await;
    let field = "strict decoding error: unknown field \"spec.template.spec.containers[0].imagePullPolice\"";
    assert_eq!((code, message.as_str()), (400, field));
}

#[tokio::test]
async fn labels_selectors_names_and_ports_are_checked() {
    let mut long = deployment();
    long["metadata"]["labels"]["model"] = json!("x".repeat(64));
    let mut stranger = deployment();
    stranger["spec"]["template"]["metadata"]["labels"]["app"] = json!("b");
    let mut port = deployment();
    port["spec"]["template"]["spec"]["containers"][0]["ports"] =
        json!([{"name": "sixteen-letters-", "containerPort": 1}]);
    for (object, field) in [(long, "metadata.labels"), (stranger, "spec.template"), (port, "ports/name")] {
        let (code, message) = refused::<Deployment>(object).await;
        assert!(code == 422 && message.contains(field), "{code} {message}");
    }
    let one = json!([{"port": 80}]);
    for object in [
        service(&"s".repeat(64), one.clone()),
        service("1s", one.clone()),
        service("s.t", one),
        service("s", json!([{"port": 80}, {"port": 81}])),
    ] {
        let (code, message) = refused::<Service>(object).await;
        assert_eq!(code, 422, "{message}");
    }
}

#[tokio::test]
async fn new_kinds_can_be_served_and_old_ones_withdrawn() {
    let world = World::new();
    world.serve(crate::Kind::custom("example.io", "v1", "Toy", "toys"));
    world.put(any("example.io/v1", "Toy", "t").within("default"));
    assert_eq!(world.objects("Toy").len(), 1);
    let api = deepseeks(&world);
    world.stop_serving("DeepSeekDeployment");
    let refused: kube::Result<DynamicObject> = api.get("chat").await;
    assert_eq!(code(refused), 404);
}
