//! Snapshots compare worlds.

use jiff::SignedDuration;
use serde_json::json;

use crate::World;
use crate::fixtures::{any, config_map, node, pod};

#[test]
fn what_differs_from_run_to_run_does_not_show() {
    let one = World::new();
    let owner = one.put(config_map("owner"));
    one.put(config_map("child").owned_by(&owner));
    one.put(pod("p").ready());

    let other = World::new();
    other.advance(SignedDuration::from_hours(1));
    other.put(pod("p").ready().at("10.9.9.9"));
    other.put(config_map("passing"));
    other.remove("ConfigMap", "default", "passing");
    other.put(any("v1", "Event", "noise").within("default"));
    let owner = other.put(config_map("owner"));
    other.put(config_map("child").owned_by(&owner));
    one.snapshot().assert_same(&other.snapshot());
}

#[test]
fn what_differs_shows_by_field() {
    let world = World::new();
    world.put(node("n1"));
    world.put(config_map("a").holding("k", "v"));
    let before = world.snapshot();
    world.edit("ConfigMap", "default", "a", |map| map["data"] = json!({"k": "w", "new": "x"}));
    world.remove("Node", "", "n1");
    let difference = before.difference(&world.snapshot());
    assert!(difference.contains(r#"configmaps/default/a .data .k: "v" ≠ "w""#), "{difference}");
    assert!(difference.contains(r#"configmaps/default/a .data .new: (absent) ≠ "x""#), "{difference}");
    assert!(difference.contains("nodes/-/n1: {"), "{difference}");
    assert_eq!(difference.lines().count(), 3);
    assert!(before.only(&["secrets"]).objects().is_empty());
}

#[test]
fn a_reference_to_nobody_and_a_lagging_status_show() {
    let world = World::new();
    world.pause_garbage_collection();
    let owner = world.put(config_map("owner"));
    world.put(config_map("child").owned_by(&owner));
    world.put(any("apps/v1", "Deployment", "d").within("default").with("/status/observedGeneration", 1));
    let before = world.snapshot();
    world.remove("ConfigMap", "default", "owner");
    world.edit("Deployment", "default", "d", |it| it["spec"]["paused"] = json!(true));
    let difference = before.difference(&world.snapshot());
    assert!(difference.contains(r#""<uid of configmaps/default/owner>" ≠ "<uid of nobody>""#), "{difference}");
    assert!(difference.contains(r#".observedGeneration: "0 behind" ≠ "1 behind""#), "{difference}");
}
