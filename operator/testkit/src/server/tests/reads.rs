//! Gets, lists and discovery.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{apply, code, config_maps, deepseeks};
use crate::World;
use crate::fixtures::{config_map, deepseek_deployment, pod};

fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn lists_select_by_namespace_label_and_field() {
    let world = World::new();
    world.put(pod("a").within("ai").labelled("app", "chat").on("n1"));
    world.put(pod("b").within("ai").labelled("app", "code"));
    world.put(pod("c").labelled("app", "chat"));
    let everywhere: Api<Pod> = Api::all(world.client());
    let within: Api<Pod> = Api::namespaced(world.client(), "ai");
    let chat = ListParams::default().labels("app in (chat),app!=code");
    assert_eq!(names(&everywhere.list(&chat).await.unwrap().items), ["a", "c"]);
    assert_eq!(names(&within.list(&chat).await.unwrap().items), ["a"]);
    let on_node = ListParams::default().fields("spec.nodeName=n1");
    assert_eq!(names(&everywhere.list(&on_node).await.unwrap().items), ["a"]);
    let one = everywhere.list(&ListParams::default().fields("metadata.name=c,metadata.namespace=default")).await;
    let one = one.unwrap();
    assert_eq!(names(&one.items), ["c"]);
    assert_eq!(one.metadata.resource_version, Some(world.revision().to_string()));
}

#[tokio::test]
async fn lists_come_in_pages_of_one_moment() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.put(config_map(name));
    }
    let page = ListParams::default().limit(2);
    let first = config_maps(&world).list(&page).await.unwrap();
    world.put(config_map("bb"));
    let token = first.metadata.continue_.clone().unwrap();
    let rest = config_maps(&world).list(&page.clone().continue_token(&token)).await.unwrap();
    assert_eq!((names(&first.items), names(&rest.items)), (vec!["a".into(), "b".into()], vec!["c".into()]));
    assert_eq!(first.metadata.resource_version, rest.metadata.resource_version);
    world.expire_watches();
    assert_eq!(code(config_maps(&world).list(&page.continue_token(&token)).await), 410);
}

#[tokio::test]
async fn metadata_can_be_had_alone() {
    let world = World::new();
    world.put(pod("a").labelled("app", "chat"));
    let api: Api<Pod> = Api::default_namespaced(world.client());
    let list = api.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items[0].labels()["app"], "chat");
    assert_eq!(list.items[0].types.as_ref().unwrap().kind, "PartialObjectMetadata");
    assert_eq!(api.get_metadata("a").await.unwrap().name_any(), "a");
}

#[tokio::test]
async fn reads_can_lag_behind_while_writes_do_not() {
    let world = World::new();
    apply(&world, "a", json!({"k": "old"})).await.unwrap();
    let then = world.revision();
    apply(&world, "a", json!({"k": "new"})).await.unwrap();
    apply(&world, "b", json!({})).await.unwrap();
    world.serve_stale_reads(then);
    let seen = config_maps(&world).get("a").await.unwrap();
    assert_eq!(seen.data.unwrap()["k"], "old");
    let list = config_maps(&world).list(&ListParams::default()).await.unwrap();
    assert_eq!((names(&list.items), list.metadata.resource_version), (vec!["a".into()], Some(then.to_string())));
    world.serve_fresh_reads();
    assert_eq!(config_maps(&world).get("a").await.unwrap().data.unwrap()["k"], "new");
}

#[tokio::test]
async fn a_revision_from_the_future_is_refused() {
    let world = World::new();
    let future = ListParams::default().at("999").matching(kube::api::VersionMatch::NotOlderThan);
    assert_eq!(code(config_maps(&world).list(&future).await), 504);
}

#[tokio::test]
async fn discovery_tells_what_is_served() {
    let world = World::new();
    let client = world.client();
    assert_eq!(client.apiserver_version().await.unwrap().minor, "35");
    assert!(client.list_api_groups().await.unwrap().groups.iter().any(|group| group.name == "apps"));
    let ours = client.list_api_group_resources("deepseek-operator.io/v1alpha1").await.unwrap();
    let served: Vec<_> = ours.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(served, ["deepseekdeployments", "deepseekdeployments/status", "deepseekdeployments/scale"]);
    let ready = client.request_text(http::Request::get("/readyz").body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(ready, "ok");
}

#[tokio::test]
async fn items_of_custom_lists_carry_their_type_and_those_of_built_in_lists_do_not() {
    let world = World::new();
    world.put(deepseek_deployment("chat", json!({})));
    world.put(config_map("a"));
    let raw = |path: &'static str| {
        let client = world.client();
        async move {
            let request = http::Request::get(path).body(Vec::new()).unwrap();
            client.request::<serde_json::Value>(request).await.unwrap()
        }
    };
    let custom = raw("/apis/deepseek-operator.io/v1alpha1/deepseekdeployments").await;
    assert_eq!(
        (custom["kind"].clone(), custom["items"][0]["kind"].clone()),
        (json!("DeepSeekDeploymentList"), json!("DeepSeekDeployment"))
    );
    let built_in = raw("/api/v1/namespaces/default/configmaps").await;
    assert_eq!((built_in["kind"].clone(), built_in["items"][0].get("kind")), (json!("ConfigMapList"), None));
    assert_eq!(deepseeks(&world).list(&ListParams::default()).await.unwrap().items.len(), 1);
}
