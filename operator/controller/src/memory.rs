//! What was written last, until the stores have caught up: a store may be a moment behind our own write.
//!
//! A memory ends when the store shows what was written or something newer, when a watch tells that the object is gone, and
//! after half a minute at the latest. To forget too early costs one write that changes nothing; to remember for too long would
//! hide that an object is missing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deepseek_core::plan::ChildKind;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;
use tokio::time::Instant;

/// No store is behind for longer, unless its watch is broken.
const LONGEST: Duration = Duration::from_secs(30);

/// Children as we wrote them.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<Key, Written>>);

/// Kind, namespace, name.
type Key = (ChildKind, String, String);

struct Written {
    object: Value,
    at: Instant,
}

impl Memory {
    /// Keeps what the API server answered to a write.
    pub fn remember(&self, kind: ChildKind, namespace: &str, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.lock().insert((kind, namespace.to_owned(), name), Written { object, at: Instant::now() });
    }

    /// What we wrote, if the store, which has this version of it, does not show it yet.
    pub fn newer(&self, kind: ChildKind, name: &str, namespace: &str, stored: Option<&str>) -> Option<Value> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let mut kept = self.lock();
        let written = kept.get(&key)?;
        let version = |text: Option<&str>| text.and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let ahead = version(stored) < version(written.object["metadata"]["resourceVersion"].as_str());
        if ahead && written.at.elapsed() < LONGEST {
            return Some(written.object.clone());
        }
        kept.remove(&key);
        None
    }

    /// The engine's Deployment as we wrote it, if the store does not show it yet.
    pub fn newer_workload(&self, name: &str, namespace: &str, stored: Option<&str>) -> Option<Deployment> {
        serde_json::from_value(self.newer(ChildKind::Deployment, name, namespace, stored)?).ok()
    }

    /// The object is gone, or about to go.
    pub fn forget(&self, kind: ChildKind, namespace: &str, name: &str) {
        self.lock().remove(&(kind, namespace.to_owned(), name.to_owned()));
    }

    /// A whole list has come: any object may be gone.
    pub fn forget_all(&self, kind: ChildKind) {
        self.lock().retain(|key, _| key.0 != kind);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_a_write() -> (Memory, Value) {
        let (memory, written) = (Memory::default(), json!({"metadata": {"name": "chat", "resourceVersion": "7"}}));
        memory.remember(ChildKind::Service, "ai", written.clone());
        (memory, written)
    }

    #[test]
    fn a_memory_is_kept_until_the_store_has_caught_up() {
        let (memory, written) = of_a_write();
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", None), Some(written.clone()));
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", Some("6")), Some(written));
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", Some("7")), None);
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", None), None);
    }

    #[test]
    fn what_is_gone_is_not_remembered() {
        let (memory, _) = of_a_write();
        memory.forget(ChildKind::Service, "ai", "chat");
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", None), None);
        let (memory, written) = of_a_write();
        memory.forget_all(ChildKind::Deployment);
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", None), Some(written));
        memory.forget_all(ChildKind::Service);
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_memory_lasts_for_ever() {
        let (memory, _) = of_a_write();
        tokio::time::advance(LONGEST).await;
        assert_eq!(memory.newer(ChildKind::Service, "chat", "ai", None), None);
    }
}
