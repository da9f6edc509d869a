//! Who has written `spec.replicas`: the API server keeps that in `metadata.managedFields`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::ObjectMeta;

use crate::SCALE_MANAGER;

/// Whether the operator has written the number, and nobody else.
pub fn are_ours(metadata: &ObjectMeta) -> bool {
    writers(metadata).next().is_some() && other_writer(metadata).is_none()
}

/// Who wrote it last, beside us.
pub fn other_writer(metadata: &ObjectMeta) -> Option<String> {
    let theirs = writers(metadata).filter(|entry| entry.manager.as_deref() != Some(SCALE_MANAGER));
    theirs.max_by_key(|entry| entry.time.as_ref().map(|time| time.0)).and_then(|entry| entry.manager.clone())
}

fn writers(metadata: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let owns = |fields: &serde_json::Value| !fields["f:spec"]["f:replicas"].is_null();
    let entries = metadata.managed_fields.iter().flatten();
    entries.filter(move |entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)))
}
