//! A request, read: kind, place, verb, query, body.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::request::Parts;
use serde_json::Value;

use crate::cluster::Key;
use crate::journal::Record;
use crate::kinds::{Kind, Kinds};

/// A request as it came.
pub(crate) struct Call {
    pub(crate) user: String,
    pub(crate) path: String,
    pub(crate) target: Option<Target>,
    pub(crate) verb: &'static str,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) content_type: String,
    /// Whether the client wants `PartialObjectMetadata`.
    pub(crate) metadata_only: bool,
    pub(crate) body: Option<Value>,
    raw_query: String,
}

/// What a request is about.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl Target {
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.kind.resource(), &self.namespace, &self.name)
    }
}

impl Call {
    pub(crate) fn read(user: &str, parts: &Parts, body: &[u8], kinds: &Kinds) -> Self {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let raw_query = parts.uri.query().unwrap_or_default();
        let query = parsed_query(raw_query);
        let target = target(parts.uri.path(), kinds);
        let watches = query.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
        Self {
            user: user.into(),
            path: parts.uri.path().into(),
            verb: verb(parts.method.as_str(), target.as_ref(), watches),
            content_type: header("content-type").to_owned(),
            metadata_only: header("accept").contains("as=PartialObjectMetadata"),
            body: serde_json::from_slice(body).ok(),
            raw_query: raw_query.into(),
            query,
            target,
        }
    }

    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(crate) fn record(&self) -> Record {
        let target = self.target.as_ref();
        let of = |part: fn(&Target) -> &str| target.map(part).unwrap_or_default().to_owned();
        Record {
            number: None,
            user: self.user.clone(),
            verb: self.verb.into(),
            group: of(|target| &target.kind.group),
            resource: of(|target| &target.kind.plural),
            subresource: of(|target| &target.subresource),
            namespace: of(|target| &target.namespace),
            name: target.map_or(&self.path, |target| &target.name).clone(),
            manager: self.query.get("fieldManager").cloned(),
            query: self.raw_query.clone(),
            body: self.body.clone(),
            code: None,
            changed: false,
        }
    }
}

fn verb(method: &str, target: Option<&Target>, watches: bool) -> &'static str {
    let named = target.is_none_or(|target| !target.name.is_empty());
    match (method, named) {
        ("GET", true) => "get",
        ("GET", false) if watches => "watch",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "unknown",
    }
}

/// `/apis/{group}/{version}[/namespaces/{namespace}]/{plural}[/{name}[/{subresource}]]`.
fn target(path: &str, kinds: &Kinds) -> Option<Target> {
    let parts: Vec<String> = path.trim_matches('/').split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", _, "status" | "finalize"] => ("", rest),
        ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (*namespace, inner),
        _ => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return None,
    };
    let kind = kinds.by_path(group, version, plural)?;
    let [namespace, name, subresource] = [namespace, name, subresource].map(String::from);
    Some(Target { kind, namespace, name, subresource })
}

fn parsed_query(query: &str) -> BTreeMap<String, String> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(&value.replace('+', " ")))
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Text without percent signs.
fn decoded(text: &str) -> String {
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok()))
            .flatten();
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}
