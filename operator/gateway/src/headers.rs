//! What becomes of a head between two connections.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Uri, Version};

/// The id of a request, which clients may choose.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a client may choose.
const LONGEST_ID: usize = 128;
/// What is true of one connection only, and the gateway's own key.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
];
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Takes away what is true of one connection only.
pub(crate) fn clean(headers: &mut HeaderMap) {
    if let Some(named) = headers.remove(header::CONNECTION) {
        let names =
            named.to_str().unwrap_or_default().split(',').filter_map(|name| HeaderName::try_from(name.trim()).ok());
        for name in names {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Gives a request of HTTP/2, or to a proxy, the form that engines expect: a path, and the host in a header.
pub(crate) fn own_form(head: &mut Parts) {
    let Some(authority) = head.uri.authority() else { return };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        head.headers.entry(header::HOST).or_insert(host);
    }
    head.uri = head.uri.path_and_query().map_or_else(Uri::default, |path| Uri::from(path.clone()));
}

/// The client's id of a request, or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let chosen = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match chosen.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID) {
        Some(id) => id.to_owned(),
        None => format!("req-{:016x}", fastrand::u64(..)),
    }
}

/// Whether a stream of events follows.
pub(crate) fn is_events(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether a WebSocket is asked for.
pub(crate) fn wants_websocket(head: &Parts) -> bool {
    let names = |header, name: &str| {
        let value = head.headers.get(header).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(name))
    };
    head.version == Version::HTTP_11 && names(header::CONNECTION, "upgrade") && names(header::UPGRADE, "websocket")
}

/// Says again that a WebSocket follows, which is true of one connection only.
pub(crate) fn announce_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, WEBSOCKET);
}
