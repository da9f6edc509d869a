//! Refusals in the form clients expect: `metav1.Status`.

use kube::core::Status;
use kube::core::response::StatusDetails;
use serde_json::{Value, json};

use crate::kinds::Kind;

/// What a request gets: a value or a refusal.
pub type Answer<T> = Result<T, Box<Status>>;

/// A refusal with a code and the reason which belongs to it.
pub fn refusal(code: u16, message: impl AsRef<str>) -> Box<Status> {
    Box::new(Status::failure(message.as_ref(), reason(code)).with_code(code))
}

/// 403: a policy or a missing right.
pub fn forbidden(message: impl AsRef<str>) -> Box<Status> {
    refusal(403, message)
}

/// 422: the object breaks a rule of its schema.
pub fn invalid(message: impl AsRef<str>) -> Box<Status> {
    refusal(422, message)
}

/// 409: somebody else was faster, or owns the field.
pub fn conflict(message: impl AsRef<str>) -> Box<Status> {
    refusal(409, message)
}

pub(crate) fn not_found(kind: &Kind, name: &str) -> Box<Status> {
    let message = format!("{} \"{name}\" not found", kind.resource());
    about(kind, name, refusal(404, message))
}

pub(crate) fn already_exists(kind: &Kind, name: &str) -> Box<Status> {
    let message = format!("{} \"{name}\" already exists", kind.resource());
    let status = Status::failure(&message, "AlreadyExists").with_code(409);
    about(kind, name, Box::new(status))
}

pub(crate) fn changed_meanwhile(kind: &Kind, name: &str) -> Box<Status> {
    let message = format!(
        "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; \
         please apply your changes to the latest version and try again",
        kind.resource()
    );
    about(kind, name, conflict(message))
}

pub(crate) fn expired() -> Box<Status> {
    let message = "The resourceVersion for the provided watch is too old";
    Box::new(Status::failure(message, "Expired").with_code(410))
}

pub(crate) fn about(kind: &Kind, name: &str, status: Box<Status>) -> Box<Status> {
    Box::new(status.with_details(StatusDetails {
        name: name.into(),
        group: kind.group.clone(),
        kind: kind.plural.clone(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    }))
}

/// The body of a refusal, with the type fields which the client library leaves out.
pub(crate) fn body(status: &Status) -> Value {
    let mut body = serde_json::to_value(status).unwrap_or_default();
    body["kind"] = json!("Status");
    body["apiVersion"] = json!("v1");
    body
}

fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        406 => "NotAcceptable",
        409 => "Conflict",
        410 => "Gone",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    }
}
