//! Create, update, patch, delete, and what follows.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMetaExt;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{apply, code, config_maps, deepseeks, map_of};
use crate::World;
use crate::fixtures::{config_map, deepseek_deployment, pod};
use crate::refusal::forbidden;

fn typed<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn a_created_object_has_an_identity_and_cannot_be_created_twice() {
    let world = World::new();
    let wanted: ConfigMap = typed(map_of("a", json!({"k": "v"})));
    let made = config_maps(&world).create(&PostParams::default(), &wanted).await.unwrap();
    assert!(made.uid().is_some() && made.resource_version().is_some());
    assert_eq!(made.creation_timestamp().unwrap().0, world.now());
    assert_eq!(made.metadata.generation, None);
    let again = config_maps(&world).create(&PostParams::default(), &wanted).await;
    match again.unwrap_err() {
        kube::Error::Api(status) => assert!(status.is_already_exists()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn places_and_names_are_checked() {
    let world = World::new();
    let elsewhere: Api<ConfigMap> = Api::namespaced(world.client(), "nowhere");
    let map: ConfigMap = typed(map_of("a", json!({})));
    assert_eq!(code(elsewhere.create(&PostParams::default(), &map).await), 404);
    let shouting: ConfigMap = typed(map_of("A_B", json!({})));
    assert_eq!(code(config_maps(&world).create(&PostParams::default(), &shouting).await), 422);
    assert_eq!(code(config_maps(&world).get("a").await), 404);
    assert_eq!(config_maps(&world).get_opt("a").await.unwrap(), None);
}

#[tokio::test]
async fn an_update_from_an_old_version_is_refused() {
    let world = World::new();
    let old = apply(&world, "a", json!({"k": "1"})).await.unwrap();
    apply(&world, "a", json!({"k": "2"})).await.unwrap();
    assert_eq!(code(config_maps(&world).replace("a", &PostParams::default(), &old).await), 409);
    let mut fresh = config_maps(&world).get("a").await.unwrap();
    fresh.data.get_or_insert_default().insert("k".into(), "3".into());
    let stored = config_maps(&world).replace("a", &PostParams::default(), &fresh).await.unwrap();
    assert_eq!(stored.data.unwrap()["k"], "3");
    // A custom object cannot be replaced blindly.
    world.put(deepseek_deployment("chat", json!({})));
    let mut blind = deepseeks(&world).get("chat").await.unwrap();
    blind.metadata.resource_version = None;
    assert_eq!(code(deepseeks(&world).replace("chat", &PostParams::default(), &blind).await), 422);
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_trace() {
    let world = World::new();
    let first = apply(&world, "a", json!({"k": "v"})).await.unwrap();
    let before = world.revision();
    let second = apply(&world, "a", json!({"k": "v"})).await.unwrap();
    config_maps(&world).replace("a", &PostParams::default(), &first).await.unwrap();
    let nothing = Patch::Merge(json!({"data": {"k": "v"}}));
    config_maps(&world).patch("a", &PatchParams::default(), &nothing).await.unwrap();
    assert_eq!((first, world.revision()), (second, before));
    let changed: Vec<bool> = world.requests().iter().map(|record| record.changed).collect();
    assert_eq!(changed, [true, false, false, false]);
}

#[tokio::test]
async fn an_apply_needs_a_manager_and_respects_a_stated_version() {
    let world = World::new();
    let config = Patch::Apply(map_of("a", json!({})));
    let nobody = PatchParams { force: true, ..PatchParams::default() };
    assert_eq!(code(config_maps(&world).patch("a", &nobody, &config).await), 422);
    apply(&world, "a", json!({"k": "1"})).await.unwrap();
    let mut stale = map_of("a", json!({"k": "2"}));
    stale["metadata"]["resourceVersion"] = json!("1");
    let stale = config_maps(&world).patch("a", &PatchParams::apply("us"), &Patch::Apply(stale)).await;
    assert_eq!(code(stale), 409);
}

#[tokio::test]
async fn generation_counts_the_spec_and_status_has_its_own_door() {
    let world = World::new();
    world.put(deepseek_deployment("chat", json!({"replicas": 1})));
    let api = deepseeks(&world);
    let both = Patch::Merge(json!({"spec": {"replicas": 2}, "status": {"x": 1}}));
    let after = api.patch("chat", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((after.metadata.generation, after.data.get("status")), (Some(2), None));
    let after = api.patch_status("chat", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((after.metadata.generation, &after.data["status"]), (Some(2), &json!({"x": 1})));
    let labels = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let after = api.patch("chat", &PatchParams::default(), &labels).await.unwrap();
    assert_eq!((after.metadata.generation, &after.data["status"]), (Some(2), &json!({"x": 1})));
    assert_eq!(after.data["spec"], json!({"replicas": 2}));
}

#[tokio::test]
async fn a_status_is_applied_without_letting_go_of_the_spec() {
    let world = World::new();
    let config = |extra: Value| {
        let mut object = json!({"apiVersion": "deepseek-operator.io/v1alpha1", "kind": "DeepSeekDeployment"});
        object.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Patch::Apply(object)
    };
    let (api, us) = (deepseeks(&world), PatchParams::apply("us").force());
    let early = api.patch_status("chat", &us, &config(json!({"status": {}}))).await;
    assert_eq!(code(early), 404);
    api.patch("chat", &us, &config(json!({"spec": {"replicas": 3}}))).await.unwrap();
    let conditions = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
    api.patch_status("chat", &us, &config(conditions("False"))).await.unwrap();
    let after = api.patch_status("chat", &us, &config(conditions("True"))).await.unwrap();
    assert_eq!(after.data["spec"], json!({"replicas": 3}));
    assert_eq!(after.data["status"]["conditions"], json!([{"type": "Ready", "status": "True"}]));
    assert_eq!(api.patch("chat", &us, &config(json!({}))).await.unwrap().data["status"], after.data["status"]);
}

#[tokio::test]
async fn scale_reads_and_writes_replicas() {
    let world = World::new();
    world.put(deepseek_deployment("chat", json!({"replicas": 1})).with("/status/selector", "app=chat"));
    let api = deepseeks(&world);
    let scale = api.get_scale("chat").await.unwrap();
    assert_eq!((scale.spec.unwrap().replicas, scale.status.unwrap().selector.as_deref()), (Some(1), Some("app=chat")));
    let more = Patch::Merge(json!({"spec": {"replicas": 4}}));
    api.patch_scale("chat", &PatchParams::default(), &more).await.unwrap();
    let after = api.get("chat").await.unwrap();
    assert_eq!((after.data["spec"]["replicas"].clone(), after.metadata.generation), (json!(4), Some(2)));
}

#[tokio::test]
async fn what_is_fixed_stays_and_defaults_are_filled_in() {
    let world = World::new();
    let api: Api<Deployment> = Api::default_namespaced(world.client());
    let config = |app: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": {"app": app}}, "template": {
                "metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
        })
    };
    let us = PatchParams::apply("us").force();
    let made = api.patch("d", &us, &Patch::Apply(config("a"))).await.unwrap();
    assert_eq!(made.spec.unwrap().replicas, Some(1));
    let before = world.revision();
    api.patch("d", &us, &Patch::Apply(config("a"))).await.unwrap();
    assert_eq!(world.revision(), before, "defaults are nobody's, so the same apply changes nothing");
    assert_eq!(code(api.patch("d", &us, &Patch::Apply(config("b"))).await), 422);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let world = World::new();
    world.put(config_map("a").finalized_by("us/hold"));
    let api = config_maps(&world);
    let held = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(held.metadata.deletion_timestamp.is_some());
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["us/hold", "us/more"]}}));
    assert_eq!(code(api.patch("a", &PatchParams::default(), &more).await), 422);
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("a", &PatchParams::default(), &none).await.unwrap();
    assert_eq!(world.object("ConfigMap", "default", "a"), None);
    assert_eq!(code(api.delete("a", &DeleteParams::default()).await), 404);
}

#[tokio::test]
async fn deletion_checks_its_preconditions() {
    let world = World::new();
    let old = world.put(config_map("a"));
    world.remove("ConfigMap", "default", "a");
    let namesake = world.put(config_map("a"));
    let uid_of = |object: &Value| object["metadata"]["uid"].as_str().map(String::from);
    let only = |uid| DeleteParams::default().preconditions(Preconditions { uid, resource_version: None });
    assert_eq!(code(config_maps(&world).delete("a", &only(uid_of(&old))).await), 409);
    assert!(config_maps(&world).delete("a", &only(uid_of(&namesake))).await.unwrap().is_right());
}

#[tokio::test]
async fn dependants_go_with_their_owner_and_so_do_theirs() {
    let world = World::new();
    let owner = world.put(config_map("owner"));
    let child = world.put(config_map("child").owned_by(&owner));
    world.put(pod("grandchild").owned_by(&child));
    world.put(config_map("stranger"));
    config_maps(&world).delete("owner", &DeleteParams::default()).await.unwrap();
    let left: Vec<_> = world.all::<ConfigMap>().iter().map(ResourceExt::name_any).collect();
    assert_eq!((left, world.all::<Pod>().len()), (vec!["stranger".to_owned()], 0));
}

#[tokio::test]
async fn a_child_of_nobody_is_garbage_and_the_collector_can_rest() {
    let world = World::new();
    let owner = world.put(config_map("owner"));
    world.pause_garbage_collection();
    world.remove("ConfigMap", "default", "owner");
    world.put(config_map("late").owned_by(&owner));
    // A namesake is not the owner.
    world.put(config_map("owner"));
    assert!(world.object("ConfigMap", "default", "late").is_some());
    world.resume_garbage_collection();
    assert!(world.object("ConfigMap", "default", "late").is_none());
}

#[tokio::test]
async fn an_owner_counts_only_under_its_own_name_and_within_reach() {
    let world = World::new();
    let mut owner = world.put(config_map("owner"));
    world.put(config_map("near").owned_by(&owner));
    world.put(config_map("far").within("ai").owned_by(&owner));
    owner["metadata"]["name"] = json!("misspelt");
    world.put(config_map("wrong").owned_by(&owner));
    let left: Vec<_> = world.all::<ConfigMap>().iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["near", "owner"]);
}

#[tokio::test]
async fn foreground_waits_for_dependants_and_orphan_spares_them() {
    let world = World::new();
    let owner = world.put(config_map("owner"));
    world.put(config_map("child").owned_by(&owner).finalized_by("them/hold"));
    config_maps(&world).delete("owner", &DeleteParams::foreground()).await.unwrap();
    let waiting = world.object("ConfigMap", "default", "owner").unwrap();
    assert_eq!(waiting["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    world.edit("ConfigMap", "default", "child", |child| child["metadata"]["finalizers"] = json!([]));
    assert!(world.objects("ConfigMap").is_empty());

    let owner = world.put(config_map("owner"));
    world.put(config_map("child").owned_by(&owner));
    config_maps(&world).delete("owner", &DeleteParams::orphan()).await.unwrap();
    let child = world.object("ConfigMap", "default", "child").unwrap();
    assert_eq!(child["metadata"]["ownerReferences"], json!([]));
}

#[tokio::test]
async fn a_namespace_goes_once_it_is_empty() {
    let world = World::new();
    world.put(config_map("a").within("ai").finalized_by("us/hold"));
    world.put(config_map("b").within("ai"));
    let namespaces: Api<Namespace> = Api::all(world.client());
    namespaces.delete("ai", &DeleteParams::default()).await.unwrap();
    assert_eq!(world.objects("ConfigMap").len(), 1);
    let inside: Api<ConfigMap> = Api::namespaced(world.client(), "ai");
    let late: ConfigMap = typed(map_of("late", json!({})));
    assert_eq!(code(inside.create(&PostParams::default(), &late).await), 403);
    let none = Patch::Merge(json!({"metadata": {"finalizers": []}}));
    inside.patch("a", &PatchParams::default(), &none).await.unwrap();
    assert_eq!(world.object("Namespace", "", "ai"), None);
}

#[tokio::test]
async fn admission_changes_or_refuses() {
    let world = World::new();
    world.admit(|verb, object| {
        let mut object = object.clone();
        match object["metadata"]["name"].as_str() {
            Some("never") if verb == "create" => Err(forbidden("exceeded quota")),
            Some("a") => {
                object["metadata"]["annotations"]["injected"] = json!("yes");
                Ok(object)
            }
            _ => Ok(object),
        }
    });
    assert_eq!(code(apply(&world, "never", json!({})).await), 403);
    let made = apply(&world, "a", json!({"k": "v"})).await.unwrap();
    assert_eq!(made.annotations()["injected"], "yes");
    let before = world.revision();
    apply(&world, "a", json!({"k": "v"})).await.unwrap();
    assert_eq!(world.revision(), before, "what admission added belongs to others, so the loop is stable");
}

#[tokio::test]
async fn metadata_alone_can_be_patched_and_a_dry_run_leaves_no_trace() {
    let world = World::new();
    world.put(config_map("a"));
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let labels = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    let seen = config_maps(&world).patch("a", &dry, &labels).await.unwrap();
    assert_eq!(seen.labels()["x"], "y");
    assert_eq!(config_maps(&world).get("a").await.unwrap().labels().len(), 0);
    let meta = kube::core::ObjectMeta::default().into_request_partial::<ConfigMap>();
    let seen = config_maps(&world).patch_metadata("a", &PatchParams::apply("us"), &Patch::Apply(&meta)).await;
    assert_eq!(seen.unwrap().name_any(), "a");
}
