//! Watches: order, selection, resumption, expiry, silence.

use std::pin::Pin;

use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{WatchEvent, WatchParams};
use serde_json::json;

use super::config_maps;
use crate::World;
use crate::fixtures::config_map;

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Send>>;

async fn watch(world: &World, params: &WatchParams, from: &str) -> Events {
    Box::pin(config_maps(world).watch(params, from).await.unwrap())
}

/// All events which are there by now, in words.
fn heard(events: &mut Events) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(next) = events.next().now_or_never() {
        words.push(match next {
            Some(Ok(WatchEvent::Added(map))) => format!("added {}", map.name_any()),
            Some(Ok(WatchEvent::Modified(map))) => format!("modified {}", map.name_any()),
            Some(Ok(WatchEvent::Deleted(map))) => format!("deleted {}", map.name_any()),
            Some(Ok(WatchEvent::Bookmark(mark))) => format!("bookmark {}", mark.metadata.annotations.len()),
            Some(Ok(WatchEvent::Error(status))) => format!("error {}", status.code),
            Some(Err(_)) => "broken".into(),
            None => {
                words.push("end".into());
                return words;
            }
        });
    }
    words
}

fn touch(world: &World, name: &str) {
    let revision = world.revision().to_string();
    world.edit("ConfigMap", "default", name, |map| map["data"]["touched"] = json!(revision));
}

#[tokio::test]
async fn a_watch_shows_what_comes_after_its_revision() {
    let world = World::new();
    world.put(config_map("before"));
    let from = world.revision().to_string();
    world.put(config_map("between"));
    let mut events = watch(&world, &WatchParams::default(), &from).await;
    assert_eq!(heard(&mut events), ["added between"]);
    touch(&world, "before");
    world.put(config_map("elsewhere").within("ai"));
    world.remove("ConfigMap", "default", "before");
    assert_eq!(heard(&mut events), ["modified before", "deleted before"]);
    world.put(config_map("between"));
    assert_eq!(heard(&mut events), Vec::<String>::new(), "what changes nothing is no event");
}

#[tokio::test]
async fn a_streamed_list_ends_with_its_bookmark() {
    let world = World::new();
    world.put(config_map("a"));
    world.put(config_map("b"));
    let mut events = watch(&world, &WatchParams::streaming_lists(), "0").await;
    assert_eq!(heard(&mut events), ["added a", "added b", "bookmark 1"]);
    touch(&world, "a");
    assert_eq!(heard(&mut events), ["modified a"]);
}

#[tokio::test]
async fn what_leaves_the_selection_counts_as_deleted() {
    let world = World::new();
    world.put(config_map("a").labelled("app", "chat"));
    let from = world.revision().to_string();
    let mut events = watch(&world, &WatchParams::default().labels("app=chat"), &from).await;
    let label = |app: &'static str| {
        world.edit("ConfigMap", "default", "a", |map| map["metadata"]["labels"]["app"] = json!(app));
    };
    label("code");
    touch(&world, "a");
    label("chat");
    assert_eq!(heard(&mut events), ["deleted a", "added a"]);
}

#[tokio::test]
async fn a_watch_can_be_cut_closed_and_expired() {
    let world = World::new();
    let from = world.revision().to_string();
    let mut cut = watch(&world, &WatchParams::default(), &from).await;
    world.cut_watches_of("ConfigMap");
    assert_eq!(heard(&mut cut), ["broken", "end"]);
    let mut closed = watch(&world, &WatchParams::default(), &from).await;
    world.cut_watches_of("Secret");
    world.end_watches();
    assert_eq!(heard(&mut closed), ["end"]);
    let mut expired = watch(&world, &WatchParams::default(), &from).await;
    world.expire_watches();
    assert_eq!(heard(&mut expired), ["error 410", "end"]);
    let mut late = watch(&world, &WatchParams::default(), &from).await;
    assert_eq!(heard(&mut late), ["error 410", "end"]);
    let mut fresh = watch(&world, &WatchParams::default(), &world.revision().to_string()).await;
    assert!(heard(&mut fresh).is_empty());
}

#[tokio::test]
async fn a_watch_can_fall_silent_and_lose_an_event() {
    let world = World::new();
    let from = world.revision().to_string();
    let mut events = watch(&world, &WatchParams::default(), &from).await;
    world.freeze_watches_of("ConfigMap");
    world.put(config_map("a"));
    assert!(heard(&mut events).is_empty());
    world.thaw_watches();
    assert_eq!(heard(&mut events), ["added a"]);
    world.lose_next_event_of("ConfigMap");
    world.put(config_map("lost"));
    world.put(config_map("b"));
    assert_eq!(heard(&mut events), ["added b"]);
}

#[tokio::test]
async fn a_watch_from_the_future_waits_for_it() {
    let world = World::new();
    let ahead = (world.revision() + 1).to_string();
    let mut events = watch(&world, &WatchParams::default(), &ahead).await;
    world.put(config_map("a"));
    world.put(config_map("b"));
    assert_eq!(heard(&mut events), ["added b"], "what the client claims to know is not shown");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_over() {
    let world = World::new();
    let mut events = watch(&world, &WatchParams::default().timeout(60), &world.revision().to_string()).await;
    let before = tokio::time::Instant::now();
    assert!(events.next().await.is_none());
    assert_eq!(before.elapsed().as_secs(), 60);
}
