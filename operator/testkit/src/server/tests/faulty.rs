//! Faults: at a number, at a description; what was applied, and what the client saw.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::timeout;

use super::{apply, code, config_maps, map_of};
use crate::{Fault, Record, When, World};

fn exists(world: &World, name: &str) -> bool {
    world.object("ConfigMap", "default", name).is_some()
}

#[tokio::test]
async fn a_fault_meets_the_request_with_its_number() {
    let world = World::new();
    let alarm = world.fail_at(2, Fault::Error(503));
    apply(&world, "a", json!({})).await.unwrap();
    assert!(!alarm.has_rung());
    assert_eq!(code(apply(&world, "b", json!({})).await), 503);
    assert!(alarm.has_rung() && !exists(&world, "b"));
    apply(&world, "b", json!({})).await.unwrap();
    let numbers: Vec<_> = world.requests().iter().map(|record| (record.number, record.code)).collect();
    assert_eq!(numbers, [(Some(1), Some(201)), (Some(2), Some(503)), (Some(3), Some(201))]);
}

#[tokio::test]
async fn a_write_may_happen_although_the_client_sees_an_error_or_nothing() {
    let world = World::new();
    world.fail_at(1, Fault::ErrorAfterApply(504));
    world.fail_at(2, Fault::DropAfterApply);
    world.fail_at(3, Fault::Drop);
    assert_eq!(code(apply(&world, "a", json!({})).await), 504);
    assert!(matches!(apply(&world, "b", json!({})).await, Err(kube::Error::Service(_))));
    assert!(matches!(apply(&world, "c", json!({})).await, Err(kube::Error::Service(_))));
    assert_eq!([exists(&world, "a"), exists(&world, "b"), exists(&world, "c")], [true, true, false]);
    let changed: Vec<_> = world.requests().iter().map(|record| (record.code, record.changed)).collect();
    assert_eq!(changed, [(Some(504), true), (None, true), (None, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_hangs_until_it_is_dropped() {
    let world = World::new();
    world.fail_at(1, Fault::Hang);
    assert!(timeout(Duration::from_secs(30), apply(&world, "a", json!({}))).await.is_err());
    assert!(!exists(&world, "a"));
    apply(&world, "a", json!({})).await.unwrap();
}

#[tokio::test]
async fn a_crash_kills_one_client_until_it_is_revived() {
    for applied in [false, true] {
        let world = World::new();
        let alarm = world.fail_at(1, Fault::Crash { applied });
        assert!(apply(&world, "a", json!({})).await.is_err());
        alarm.rung().await;
        assert_eq!(exists(&world, "a"), applied);
        assert!(config_maps(&world).list(&ListParams::default()).await.is_err());
        let other: Api<ConfigMap> = Api::default_namespaced(world.client_as("somebody"));
        other.list(&ListParams::default()).await.unwrap();
        world.revive();
        apply(&world, "b", json!({})).await.unwrap();
        assert_eq!(world.counted(), 3, "requests of the dead are not counted");
    }
}

#[tokio::test]
async fn a_fault_can_be_described() {
    let world = World::new();
    world.fail(When::verb("patch").of("configmaps").named("b").by("operator").nth(2), Fault::Error(409));
    for name in ["a", "a", "b"] {
        apply(&world, name, json!({})).await.unwrap();
    }
    assert_eq!(code(apply(&world, "b", json!({})).await), 409);
    apply(&world, "b", json!({})).await.unwrap();
    world.fail(When::any().every(3), Fault::Error(500));
    let mut fates = Vec::new();
    for _ in 0..6 {
        fates.push(apply(&world, "c", json!({})).await.is_ok());
    }
    assert_eq!(fates, [true, true, false, true, true, false]);
    world.heal();
    apply(&world, "c", json!({})).await.unwrap();
}

#[tokio::test]
async fn a_busy_server_says_when_to_come_back() {
    let world = World::new();
    world.fail(When::any().always(), Fault::Error(429));
    let request = http::Request::get("/api/v1/pods").body(kube::client::Body::empty()).unwrap();
    let response = world.client().send(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "1"));
}

#[tokio::test]
async fn the_log_tells_who_asked_for_what() {
    let world = World::new();
    apply(&world, "a", json!({"k": "1"})).await.unwrap();
    let mark = world.mark();
    let other: Api<ConfigMap> = Api::default_namespaced(world.client_as("somebody"));
    other.get("a").await.unwrap();
    world.assert_no_writes_since(mark);
    let patch = Patch::Apply(map_of("a", json!({"k": "1"})));
    other.patch("a", &PatchParams::apply("them"), &patch).await.unwrap();
    let writes = world.writes_since(mark);
    let seen = &writes[0];
    assert_eq!((writes.len(), seen.user.as_str(), seen.manager.as_deref()), (1, "somebody", Some("them")));
    assert_eq!(seen.spoken(), "patch configmaps/a in default by somebody: 200");
    assert_eq!(seen.body.as_ref().unwrap()["data"]["k"], "1");
}

#[tokio::test]
async fn only_what_the_filter_accepts_is_counted() {
    let world = World::new();
    world.count_only(Record::is_write);
    config_maps(&world).list(&ListParams::default()).await.unwrap();
    apply(&world, "a", json!({})).await.unwrap();
    assert_eq!(world.counted(), 1);
}
