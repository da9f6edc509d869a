//! When each object became ready, as a watcher sees it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use tokio::time::{Instant, timeout};

use crate::objects::Side;

/// The API server ends a watch after this time at the latest.
const LONGEST: u32 = 290;

/// Changes of the objects of one kind in one namespace, from now on.
pub struct Changes {
    stream: std::pin::Pin<Box<dyn Stream<Item = Result<WatchEvent<DynamicObject>, kube::Error>> + Send>>,
}

impl Changes {
    /// From now on.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn of(api: &Api<DynamicObject>) -> Result<Self> {
        let list = api.list_metadata(&ListParams::default().limit(1)).await?;
        let version = list.metadata.resource_version.unwrap_or_default();
        let stream = api.watch(&WatchParams::default().timeout(LONGEST), &version).await?;
        Ok(Self { stream: Box::pin(stream) })
    }

    /// The next object that is there.
    async fn next(&mut self) -> Result<DynamicObject> {
        loop {
            match self.stream.next().await.context("the watch ended")?? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => return Ok(object),
                WatchEvent::Error(error) => bail!("the watch broke off: {error:?}"),
                WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
            }
        }
    }

    /// Seconds from `start` until each of `n` objects was ready, in this order.
    ///
    /// # Errors
    /// When not all are within the limit.
    pub async fn ready(mut self, side: Side, n: u32, start: Instant) -> Result<Vec<f64>> {
        let mut at = HashMap::new();
        let all = async {
            while at.len() < n as usize {
                let object = self.next().await?;
                if side.is_ready(&object) {
                    at.entry(object.name_any()).or_insert_with(|| start.elapsed().as_secs_f64());
                }
            }
            Ok::<_, anyhow::Error>(())
        };
        let done = timeout(Duration::from_secs(LONGEST.into()), all).await;
        ensure!(done.is_ok(), "only {} of {n} are ready after {LONGEST} s", at.len());
        done??;
        let mut seconds: Vec<_> = at.into_values().collect();
        seconds.sort_by(f64::total_cmp);
        Ok(seconds)
    }

    /// Waits until the object of this name is there with another UID.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn back(&mut self, name: &str, not: &str) -> Result<()> {
        let again = async {
            loop {
                let object = self.next().await?;
                if object.name_any() == name && object.uid().as_deref() != Some(not) {
                    return Ok(());
                }
            }
        };
        timeout(Duration::from_secs(30), again).await.with_context(|| format!("{name} does not come back"))?
    }
}
