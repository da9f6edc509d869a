//! Lists: all or in pages, now or as they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Cluster, Key};
use crate::refusal::{Answer, expired, refusal};

/// A list, or a page of one.
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<Value>>,
    pub(crate) revision: u64,
    pub(crate) next: Option<String>,
    pub(crate) remaining: usize,
}

impl Cluster {
    /// The objects of a resource as they were at `revision`.
    pub(crate) fn as_of(&self, resource: &str, revision: u64) -> BTreeMap<Key, Arc<Value>> {
        if revision == self.revision {
            return self.all_of(resource).into_iter().collect();
        }
        let mut then = BTreeMap::new();
        let past = self.history.iter().take_while(|change| change.revision <= revision);
        for change in past.filter(|change| change.key.resource == resource) {
            match &change.after {
                Some(object) => drop(then.insert(change.key.clone(), Arc::clone(object))),
                None => drop(then.remove(&change.key)),
            }
        }
        then
    }

    /// The objects which `wanted` accepts, at most `limit`, from where `token` points.
    ///
    /// # Errors
    /// 410 when the page's revision has been forgotten, 400 when the token is not ours.
    pub(crate) fn page(
        &self,
        resource: &str,
        revision: u64,
        (limit, token): (Option<usize>, Option<&str>),
        wanted: impl Fn(&Key, &Value) -> bool,
    ) -> Answer<Page> {
        let (revision, skip) = token.map_or(Ok((revision, 0)), parsed)?;
        if token.is_some() && revision < self.oldest {
            return Err(expired());
        }
        let mut items: Vec<_> = self
            .as_of(resource, revision)
            .into_iter()
            .filter(|(key, value)| wanted(key, value))
            .map(|(_, value)| value)
            .skip(skip)
            .collect();
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX).min(items.len());
        let remaining = items.split_off(limit).len();
        let next = (remaining > 0).then(|| format!("{revision}:{}", skip + limit));
        Ok(Page { items, revision, next, remaining })
    }
}

fn parsed(token: &str) -> Answer<(u64, usize)> {
    token
        .split_once(':')
        .and_then(|(revision, skip)| Some((revision.parse().ok()?, skip.parse().ok()?)))
        .ok_or_else(|| refusal(400, "continue key is not valid"))
}
