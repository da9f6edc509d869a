//! Server-side apply, against what a real server does.

use serde_json::{Value, json};

use super::{Author, MergeKeys, Operation, Owners};
use crate::refusal::Answer;

/// An object with its owners, and the managers who write it.
struct Scene {
    live: Value,
    owners: Owners,
}

impl Scene {
    fn new(live: Value) -> Self {
        let owners = Owners::default().updated(&json!({}), &live, &Author::updating("kubectl"), &MergeKeys::default());
        Self { live, owners }
    }

    fn empty() -> Self {
        Self { live: json!({}), owners: Owners::default() }
    }

    fn apply(&mut self, manager: &str, config: &Value) -> Answer<&Value> {
        self.apply_as(manager, config, false)
    }

    fn force(&mut self, manager: &str, config: &Value) -> Answer<&Value> {
        self.apply_as(manager, config, true)
    }

    fn apply_as(&mut self, manager: &str, config: &Value, force: bool) -> Answer<&Value> {
        let author = Author { name: manager.into(), operation: Operation::Apply, subresource: String::new() };
        let keys = MergeKeys::default();
        (self.live, self.owners) = self.owners.applied(&self.live, config, &author, force, &keys)?;
        Ok(&self.live)
    }

    fn update(&mut self, manager: &str, after: Value) {
        let keys = MergeKeys::default();
        self.owners = self.owners.updated(&self.live, &after, &Author::updating(manager), &keys);
        self.live = after;
    }
}

#[test]
fn a_field_no_longer_applied_disappears() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"data": {"a": "1", "b": "2"}})).unwrap();
    assert_eq!(*scene.apply("us", &json!({"data": {"a": "1"}})).unwrap(), json!({"data": {"a": "1"}}));
    assert_eq!(*scene.apply("us", &json!({})).unwrap(), json!({}));
}

#[test]
fn a_field_which_another_manager_owns_too_stays() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"data": {"a": "1"}})).unwrap();
    scene.apply("them", &json!({"data": {"a": "1"}})).unwrap();
    assert_eq!(*scene.apply("us", &json!({})).unwrap(), json!({"data": {"a": "1"}}));
    assert_eq!(*scene.apply("them", &json!({})).unwrap(), json!({}));
}

#[test]
fn fields_of_others_are_left_alone() {
    let mut scene = Scene::new(json!({"metadata": {"annotations": {"theirs": "x"}}, "spec": {"replicas": 3}}));
    let ours = json!({"metadata": {"annotations": {"ours": "y"}}});
    scene.apply("us", &ours).unwrap();
    assert_eq!(scene.live["metadata"]["annotations"], json!({"theirs": "x", "ours": "y"}));
    scene.apply("us", &json!({})).unwrap();
    assert_eq!(scene.live["metadata"]["annotations"], json!({"theirs": "x"}));
}

#[test]
fn another_value_for_a_field_of_others_is_a_conflict_unless_forced() {
    let mut scene = Scene::new(json!({"spec": {"replicas": 3}}));
    let refusal = scene.apply("us", &json!({"spec": {"replicas": 5}})).unwrap_err();
    assert_eq!(refusal.code, 409);
    let causes = refusal.details.unwrap().causes;
    assert_eq!((causes[0].field.as_str(), causes[0].reason.as_str()), (".spec.replicas", "FieldManagerConflict"));
    assert!(refusal.message.contains("conflict with \"kubectl\": .spec.replicas"), "{}", refusal.message);
    assert_eq!(scene.force("us", &json!({"spec": {"replicas": 5}})).unwrap()["spec"]["replicas"], 5);
    // The loser owns it no more: letting go removes it.
    assert_eq!(*scene.apply("us", &json!({})).unwrap(), json!({}));
}

#[test]
fn an_update_takes_ownership_so_the_next_apply_conflicts() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"spec": {"replicas": 1}})).unwrap();
    scene.update("autoscaler", json!({"spec": {"replicas": 4}}));
    assert_eq!(scene.apply("us", &json!({"spec": {"replicas": 1}})).unwrap_err().code, 409);
    // Leaving the field out is the way to hand it over.
    assert_eq!(scene.apply("us", &json!({})).unwrap()["spec"]["replicas"], 4);
}

#[test]
fn containers_merge_by_name_and_env_by_name() {
    let mut scene = Scene::empty();
    let ours = |env: Value| json!({"containers": [{"name": "engine", "image": "a", "env": env}]});
    scene.apply("us", &ours(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))).unwrap();
    scene
        .apply(
            "injector",
            &json!({"containers": [
            {"name": "engine", "env": [{"name": "C", "value": "3"}]}, {"name": "sidecar", "image": "s"}]}),
        )
        .unwrap();
    scene.apply("us", &ours(json!([{"name": "B", "value": "2"}]))).unwrap();
    assert_eq!(
        scene.live,
        json!({"containers": [
            {"name": "engine", "image": "a", "env": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]},
            {"name": "sidecar", "image": "s"}]})
    );
}

#[test]
fn an_item_goes_with_what_nobody_owns_in_it() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"containers": [{"name": "a"}, {"name": "b", "image": "x"}]})).unwrap();
    scene.live["containers"][1]["imagePullPolicy"] = json!("IfNotPresent");
    scene.apply("us", &json!({"containers": [{"name": "a"}]})).unwrap();
    assert_eq!(scene.live, json!({"containers": [{"name": "a"}]}));
}

#[test]
fn an_item_in_which_others_own_a_field_stays_with_its_key() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"containers": [{"name": "a", "image": "x"}]})).unwrap();
    scene.apply("them", &json!({"containers": [{"name": "a", "tty": true}]})).unwrap();
    scene.apply("us", &json!({})).unwrap();
    assert_eq!(scene.live, json!({"containers": [{"name": "a", "tty": true}]}));
}

#[test]
fn ports_merge_by_number_and_protocol_with_tcp_as_default() {
    let mut scene = Scene::new(json!({"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}));
    scene.force("us", &json!({"ports": [{"port": 80, "name": "http"}, {"port": 80, "protocol": "UDP"}]})).unwrap();
    assert_eq!(
        scene.live["ports"],
        json!([{"port": 80, "protocol": "TCP", "nodePort": 30001, "name": "http"}, {"port": 80, "protocol": "UDP"}])
    );
}

#[test]
fn lists_without_keys_have_one_owner() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"args": ["a", "b"]})).unwrap();
    assert_eq!(scene.apply("them", &json!({"args": ["c"]})).unwrap_err().code, 409);
    assert_eq!(scene.force("them", &json!({"args": ["c"]})).unwrap()["args"], json!(["c"]));
}

#[test]
fn finalizers_are_a_set() {
    let mut scene = Scene::new(json!({"metadata": {"finalizers": ["theirs"]}}));
    scene.apply("us", &json!({"metadata": {"finalizers": ["ours"]}})).unwrap();
    assert_eq!(scene.live["metadata"]["finalizers"], json!(["theirs", "ours"]));
    scene.apply("us", &json!({"metadata": {}})).unwrap();
    assert_eq!(scene.live["metadata"]["finalizers"], json!(["theirs"]));
}

#[test]
fn an_empty_object_is_a_value_and_may_gain_fields() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"volumes": [{"name": "v", "emptyDir": {}}]})).unwrap();
    scene.apply("us", &json!({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]})).unwrap();
    assert_eq!(scene.live["volumes"][0]["emptyDir"], json!({"medium": "Memory"}));
    scene.apply("us", &json!({"volumes": [{"name": "v", "emptyDir": {}}]})).unwrap();
    assert_eq!(scene.live["volumes"][0]["emptyDir"], json!({}));
}

#[test]
fn applying_the_same_again_changes_neither_object_nor_owners() {
    let mut scene = Scene::empty();
    let config = json!({"spec": {"containers": [{"name": "a", "args": ["x"], "env": []}]}, "data": {"k": "v"}});
    scene.apply("us", &config).unwrap();
    let (live, owners) = (scene.live.clone(), scene.owners.clone());
    scene.apply("us", &config).unwrap();
    assert_eq!((scene.live, scene.owners), (live, owners));
}

#[test]
fn ownership_is_shown_as_the_api_shows_it() {
    let mut scene = Scene::empty();
    scene.apply("us", &json!({"spec": {"containers": [{"name": "a"}]}, "metadata": {"name": "x"}})).unwrap();
    let shown = scene.owners.managed_fields("v1", "2026-01-01T00:00:00Z");
    assert_eq!(shown[0]["manager"], "us");
    assert_eq!(
        shown[0]["fieldsV1"],
        json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}}}})
    );
}
