//! kube-runtime's watcher and reflector against the world, with watches that break.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::World;
use crate::fixtures::config_map;

/// Keeps a store up to date in the background, as a controller does.
fn reflected(world: &World, config: watcher::Config) -> Store<ConfigMap> {
    let (reader, writer) = reflector::store();
    let api: Api<ConfigMap> = Api::all(world.client());
    let stream = watcher(api, config).default_backoff().reflect(writer);
    tokio::spawn(async move { pin!(stream).for_each(|_| async {}).await });
    reader
}

fn names(store: &Store<ConfigMap>) -> Vec<String> {
    let mut names: Vec<_> = store.state().iter().map(|map| map.name_any()).collect();
    names.sort();
    names
}

/// Lets all tasks run until they wait; the clock is paused.
async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn survives(config: watcher::Config) {
    let world = World::new();
    world.put(config_map("a"));
    let store = reflected(&world, config);
    store.wait_until_ready().await.unwrap();
    assert_eq!(names(&store), ["a"]);

    world.cut_watches();
    world.put(config_map("b"));
    pass(60).await;
    assert_eq!(names(&store), ["a", "b"], "a broken watch resumes where it was");

    world.end_watches();
    world.remove("ConfigMap", "default", "a");
    pass(60).await;
    assert_eq!(names(&store), ["b"], "a closed watch resumes where it was");

    world.lose_next_event_of("ConfigMap");
    world.put(config_map("c"));
    pass(1).await;
    assert_eq!(names(&store), ["b"], "a lost event is not seen");
    world.expire_watches();
    pass(60).await;
    assert_eq!(names(&store), ["b", "c"], "410 leads to a new list, which repairs");
}

#[tokio::test(start_paused = true)]
async fn a_reflector_survives_cuts_and_expiry() {
    survives(watcher::Config::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_reflector_with_streamed_lists_survives_cuts_and_expiry() {
    survives(watcher::Config::default().streaming_lists()).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_in_pages_survives_a_broken_page() {
    let world = World::new();
    for number in 0..10 {
        world.put(config_map(&format!("m{number}")));
    }
    world.fail_at(3, crate::Fault::Drop);
    let store = reflected(&world, watcher::Config::default().page_size(3));
    store.wait_until_ready().await.unwrap();
    assert_eq!(names(&store).len(), 10);
    assert_eq!(world.counted(), 2 + 1 + 4, "two pages, the broken one, and all four again");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_watch_is_found_out_by_the_watcher_itself() {
    let world = World::new();
    let store = reflected(&world, watcher::Config::default().timeout(60));
    store.wait_until_ready().await.unwrap();
    pass(1).await;
    world.freeze_watches_of("ConfigMap");
    world.put(config_map("a"));
    pass(50).await;
    assert!(names(&store).is_empty());
    world.thaw_watches();
    pass(1).await;
    assert_eq!(names(&store), ["a"]);
    world.edit("ConfigMap", "default", "a", |map| map["data"]["k"] = json!("v"));
    pass(600).await;
    let watches = world.requests().iter().filter(|record| record.is_watch()).count();
    assert!((10..=13).contains(&watches), "about one watch a minute, not {watches}");
}
