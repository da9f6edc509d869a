//! What a client asks: whose request it is, its body, what of it decides where it goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use deepseek_core::gateway::{GatewayConfig, PriorityClass};
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::admission::Priority;
use crate::choose::{cost, opening_key};
use crate::keys::Holder;
use crate::refusal::{Refusal, too_long, unknown_model};
use crate::route::Route;
use crate::scan::scan;
use crate::scene::Scene;
use crate::upstream::Sent;

/// Longest time for reading what nobody wants.
const DISCARD: Duration = Duration::from_secs(2);

/// A request that is ready to be sent, as often as need be.
pub(crate) struct Asked {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) priority: Priority,
    pub(crate) opening: Option<u64>,
    pub(crate) cost: u32,
    pub(crate) infers: bool,
    pub(crate) stream: bool,
}

impl Asked {
    /// One that may go to any replica.
    pub(crate) fn without_body(head: Parts, priority: Priority) -> Self {
        Self { head, body: Bytes::new(), priority, opening: None, cost: cost(0), infers: true, stream: false }
    }

    pub(crate) fn request(&self) -> Request<Sent> {
        let mut request = Request::new(Sent::from(self.body.clone()));
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.headers_mut() = self.head.headers.clone();
        request
    }
}

/// Looks into a request: is its model served, where does its conversation belong?
pub(crate) fn asked(
    head: Parts,
    body: Bytes,
    route: Route,
    priority: Priority,
    config: &GatewayConfig,
) -> Result<Asked, Refusal> {
    // what is no object the engine refuses in its own words
    let found = scan(&body).unwrap_or_default();
    check_model(found.model.as_deref(), config)?;
    let opening = (config.affinity && !found.opening[0].is_empty()).then(|| opening_key(found.opening));
    let (stream, cost) = (found.stream, cost(body.len()));
    Ok(Asked { head, body, priority, opening, cost, infers: route.infers, stream })
}

/// Whether the model that is asked for, if one is, is served.
pub(crate) fn check_model(model: Option<&str>, config: &GatewayConfig) -> Result<(), Refusal> {
    match model.filter(|model| !config.served_names.iter().any(|served| served == model)) {
        Some(model) => Err(unknown_model(model, &config.served_names)),
        None => Ok(()),
    }
}

/// Whose request this is; `None` where no key is needed.
pub(crate) fn authenticate(scene: &Scene, headers: &HeaderMap) -> Result<Option<Arc<Holder>>, Refusal> {
    if !scene.config.keys_required {
        return Ok(None);
    }
    let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key =
        presented.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let holder = key.and_then(|(_, key)| scene.keys.holder(key.trim())).ok_or_else(|| {
        let message = "A valid API key is needed. Send it as \"Authorization: Bearer KEY\".";
        Refusal::request(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    })?;
    let now = Instant::now();
    let limited = |what: &'static str, wait: Duration| {
        Refusal::overload(
            "rate_limit_exceeded",
            format!("This API key has used its {what} of the last minute."),
            seconds(wait),
        )
    };
    if let Some(requests) = &holder.requests {
        requests.take(now).map_err(|wait| limited("requests", wait))?;
    }
    if let Some(tokens) = &holder.tokens {
        tokens.check(now).map_err(|wait| limited("tokens", wait))?;
    }
    Ok(Some(holder.clone()))
}

/// The whole body, within its limits of size and time.
pub(crate) async fn collect(body: Incoming, headers: &HeaderMap, config: &GatewayConfig) -> Result<Bytes, Refusal> {
    let limits = &config.limits;
    let announced = body.size_hint().lower();
    if announced > limits.body as u64 {
        discard(body).await;
        return Err(too_long(limits.body));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        discard(body).await;
        let message = "The gateway reads bodies as they are. Send it without Content-Encoding.";
        return Err(Refusal::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message));
    }
    let read = timeout(Duration::from_millis(limits.arrival), pieces(body, limits.body)).await;
    read.unwrap_or_else(|_| {
        let message = format!("The request did not arrive within {} s.", limits.arrival / 1000);
        Err(Refusal::request(StatusCode::REQUEST_TIMEOUT, "request_timeout", message))
    })
}

async fn pieces(mut body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let broken = |_| Refusal::request(StatusCode::BAD_REQUEST, "incomplete_body", "The request broke off.");
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        if first.len() + all.len() + piece.len() > most {
            discard(body).await;
            return Err(too_long(most));
        }
        // nearly all come in one piece, which need not be copied
        if first.is_empty() && all.is_empty() {
            first = piece;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&piece);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads on for a while: who still writes when the connection is closed, or the stream is reset, would not hear why.
pub(crate) async fn discard(mut body: Incoming) {
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(DISCARD, read).await;
}

/// RFC 9218's urgency, from 0 to 7, of which 3 is usual; never more than the key allows.
pub(crate) fn priority(headers: &HeaderMap, holder: Option<&Holder>) -> Priority {
    let asked = headers.get("priority").and_then(|value| value.to_str().ok()).and_then(urgency);
    let class = match asked {
        Some(0..=2) => PriorityClass::High,
        Some(4..) => PriorityClass::Low,
        _ => PriorityClass::Normal,
    };
    match holder.map_or(class, |holder| class.min(holder.priority)) {
        PriorityClass::Low => Priority::Low,
        PriorityClass::Normal => Priority::Normal,
        PriorityClass::High => Priority::High,
    }
}

fn urgency(value: &str) -> Option<u8> {
    value.split(',').find_map(|part| part.trim().strip_prefix("u=")?.parse().ok())
}

pub(crate) fn priority_name(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("priority", HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn urgency_is_read_as_browsers_write_it() {
        for (value, expected) in [
            ("u=0", Priority::High),
            ("i, u=2", Priority::High),
            ("u=3", Priority::Normal),
            ("u=7,i", Priority::Low),
            ("i", Priority::Normal),
            ("u=high", Priority::Normal),
            ("", Priority::Normal),
        ] {
            assert_eq!(priority(&with(value), None), expected, "{value:?}");
        }
        assert_eq!(priority(&HeaderMap::new(), None), Priority::Normal);
    }

    proptest! {
        #[test]
        fn reading_an_urgency_never_panics(value in proptest::collection::vec(any::<u8>(), 0..24), like in "[u=0-9, i]{0,12}") {
            let mut headers = with(&like);
            let _ = priority(&headers, None);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert("priority", value);
                let _ = priority(&headers, None);
            }
        }
    }
}
