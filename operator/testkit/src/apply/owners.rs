//! Managers: who owns which field, who is in whose way, and what goes when an owner lets go.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::Status;
use kube::core::response::{StatusCause, StatusDetails};
use serde_json::{Value, json};

use super::keys::MergeKeys;
use super::merge::{laid_over, taken_away};
use super::path::{Path, as_fields, leaves, spelled, unowned};
use crate::refusal::Answer;

/// How a manager came to own its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// Who writes, and through which door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) subresource: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Manager {
    author: Author,
    fields: BTreeSet<Path>,
}

/// All managers of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners(Vec<Manager>);

impl Author {
    pub(crate) fn updating(name: &str) -> Self {
        Self { name: name.into(), operation: Operation::Update, subresource: String::new() }
    }
}

impl Owners {
    /// The object and its owners after `author` applied `config`.
    ///
    /// # Errors
    /// 409 with one cause for each field which another manager owns with another value, unless `force`.
    pub(crate) fn applied(
        &self,
        live: &Value,
        config: &Value,
        author: &Author,
        force: bool,
        keys: &MergeKeys,
    ) -> Answer<(Value, Self)> {
        let wanted: BTreeSet<Path> = leaves(config, keys).into_keys().filter(|path| !unowned(path)).collect();
        let mut merged = laid_over(live, config, "", keys);
        let (changed, _) = differences(live, &merged, keys);
        let mut owners = self.clone();
        owners.yield_to(author, &changed, force)?;
        let before = owners.replace(author, wanted);
        owners.let_go(&before, author, &mut merged, keys);
        Ok((merged, owners))
    }

    /// The owners after `author` changed the object from `before` to `after` without applying.
    pub(crate) fn updated(&self, before: &Value, after: &Value, author: &Author, keys: &MergeKeys) -> Self {
        let (changed, removed) = differences(before, after, keys);
        let mut owners = self.clone();
        for manager in &mut owners.0 {
            manager.fields.retain(|path| !removed.contains(path));
            if manager.author != *author {
                manager.fields.retain(|path| !changed.contains(path));
            }
        }
        let mut fields = owners.fields_of(author);
        fields.extend(changed);
        owners.replace(author, fields);
        owners
    }

    /// `metadata.managedFields`.
    pub(crate) fn managed_fields(&self, api_version: &str, now: &str) -> Value {
        self.0
            .iter()
            .map(|manager| {
                let mut entry = json!({
                    "manager": manager.author.name, "apiVersion": api_version, "time": now,
                    "operation": if manager.author.operation == Operation::Apply { "Apply" } else { "Update" },
                    "fieldsType": "FieldsV1", "fieldsV1": as_fields(&manager.fields),
                });
                if !manager.author.subresource.is_empty() {
                    entry["subresource"] = json!(manager.author.subresource);
                }
                entry
            })
            .collect()
    }

    fn fields_of(&self, author: &Author) -> BTreeSet<Path> {
        self.0.iter().find(|manager| manager.author == *author).map(|m| m.fields.clone()).unwrap_or_default()
    }

    /// Gives `author` exactly these fields; returns those it had.
    fn replace(&mut self, author: &Author, fields: BTreeSet<Path>) -> BTreeSet<Path> {
        let before = self.fields_of(author);
        match self.0.iter_mut().find(|manager| manager.author == *author) {
            Some(manager) => manager.fields = fields,
            None => self.0.push(Manager { author: author.clone(), fields }),
        }
        self.0.retain(|manager| !manager.fields.is_empty());
        before
    }

    /// Takes the changed fields from other managers by force, or names them as conflicts.
    fn yield_to(&mut self, author: &Author, changed: &BTreeSet<Path>, force: bool) -> Answer<()> {
        let mut conflicts = BTreeMap::new();
        for manager in self.0.iter_mut().filter(|manager| manager.author != *author) {
            for path in manager.fields.intersection(changed) {
                conflicts.insert(path.clone(), manager.author.name.clone());
            }
            manager.fields.retain(|path| !changed.contains(path));
        }
        if conflicts.is_empty() || force { Ok(()) } else { Err(field_conflict(&conflicts)) }
    }

    /// Removes what `author` owned `before`, no longer applies, and nobody else owns.
    fn let_go(&self, before: &BTreeSet<Path>, author: &Author, object: &mut Value, keys: &MergeKeys) {
        let owned: BTreeSet<Path> = self.0.iter().flat_map(|manager| manager.fields.clone()).collect();
        let now = self.fields_of(author);
        for path in before.difference(&now) {
            if !owned.iter().any(|other| other.starts_with(path)) {
                taken_away(object, path, &owned, keys);
            }
        }
    }
}

/// Which leaves were added or changed, and which disappeared; fields of the server left out.
fn differences(before: &Value, after: &Value, keys: &MergeKeys) -> (BTreeSet<Path>, BTreeSet<Path>) {
    let (old, new) = (leaves(before, keys), leaves(after, keys));
    let ours = |path: &&Path| !unowned(path);
    let changed = new.iter().filter(|(path, value)| old.get(*path) != Some(value));
    let removed = old.keys().filter(|path| !new.contains_key(*path));
    (changed.map(|(path, _)| path).filter(ours).cloned().collect(), removed.filter(ours).cloned().collect())
}

fn field_conflict(conflicts: &BTreeMap<Path, String>) -> Box<Status> {
    let causes: Vec<StatusCause> = conflicts
        .iter()
        .map(|(path, manager)| StatusCause {
            reason: "FieldManagerConflict".into(),
            message: format!("conflict with {manager:?}"),
            field: spelled(path),
        })
        .collect();
    let fields: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.message, cause.field)).collect();
    let message = format!(
        "Apply failed with {} conflict{}: {}",
        causes.len(),
        if causes.len() == 1 { "" } else { "s" },
        fields.join(", ")
    );
    let details = StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes,
        retry_after_seconds: 0,
    };
    Box::new(Status::failure(&message, "Conflict").with_code(409).with_details(details))
}
