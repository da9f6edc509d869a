//! Answers of the gateway's own, in the form of OpenAI's errors.

use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// Why the gateway answers instead of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// Kind of the error, as OpenAI's clients know it.
    pub kind: &'static str,
    /// Which one, for programs.
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// The parameter at fault.
    pub param: Option<&'static str>,
    /// Seconds after which it may be worth trying again.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// The client's doing.
    pub fn request(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let kind = if status == StatusCode::UNAUTHORIZED { "authentication_error" } else { "invalid_request_error" };
        Self { status, kind, code, message: message.into(), param: None, retry_after: None }
    }

    /// Too much for now.
    pub fn overload(code: &'static str, message: impl Into<String>, retry_after: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "rate_limit_error",
            code,
            message: message.into(),
            param: None,
            retry_after: Some(retry_after),
        }
    }

    /// No engine answers.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "server_error",
            code,
            message: message.into(),
            param: None,
            retry_after: Some(1),
        }
    }

    /// An engine answers badly, or too late.
    pub fn upstream(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind: "server_error", code, message: message.into(), param: None, retry_after: None }
    }

    /// At fault is this parameter.
    #[must_use]
    pub fn about(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    /// As a body.
    pub fn body(&self, request_id: &str) -> String {
        let Self { kind, code, message, param, .. } = self;
        let error = json!({"message": message, "type": kind, "param": param, "code": code, "request_id": request_id});
        json!({ "error": error }).to_string()
    }

    /// As an answer.
    pub fn response(&self, request_id: &str) -> Response<String> {
        let mut response = Response::new(self.body(request_id));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// As the last event of a stream that has begun; `sent` counts the pieces that the client has received.
    pub fn event(&self, request_id: &str, sent: u64) -> String {
        let Self { kind, code, message, .. } = self;
        let error = json!({
            "message": message, "type": kind, "param": null, "code": code,
            "retryable": true, "request_id": request_id, "tokens_sent": sent,
        });
        format!("data: {}\n\n", json!({ "error": error }))
    }
}

pub(crate) fn unknown_route(head: &Parts) -> Refusal {
    let message = format!("{} {} is not served here.", head.method, head.uri.path());
    Refusal::request(StatusCode::NOT_FOUND, "unknown_url", message)
}

pub(crate) fn unknown_model(model: &str, served: &[String]) -> Refusal {
    let shown: String = model.chars().take(100).collect();
    let message = format!("The model {shown:?} does not exist. Served here: {}.", served.join(", "));
    Refusal::request(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
}

pub(crate) fn too_long(most: usize) -> Refusal {
    let message = format!("The request's body is longer than {most} bytes.");
    Refusal::request(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

pub(crate) fn too_slow(limit: u64) -> Refusal {
    let message = format!("The engine did not begin to answer within {} s.", limit / 1000);
    Refusal::upstream(StatusCode::GATEWAY_TIMEOUT, "engine_timeout", message)
}

pub(crate) fn aborted() -> Refusal {
    Refusal::unavailable("engine_stopping", "The engine is stopping. Send the request again.")
}

pub(crate) fn cut_short() -> Refusal {
    Refusal::upstream(
        StatusCode::BAD_GATEWAY,
        "engine_lost",
        "The engine stopped before it said anything. Send the request again.",
    )
}

/// Clients that come back at different times do not come back as one crowd.
pub(crate) fn overloaded(why: &'static str, waited: u64) -> Refusal {
    let retry_after = fastrand::u64(2..=10);
    match why {
        "queue_full" => Refusal::overload(why, "All replicas are busy, and the queue is full.", retry_after),
        "queue_timeout" => {
            let message = format!("All replicas were busy for {} s.", waited / 1000);
            Refusal::overload(why, message, retry_after)
        }
        _ => Refusal {
            retry_after: Some(retry_after),
            ..Refusal::unavailable(why, "No replica of the model answers at the moment.")
        },
    }
}

/// A replica is being started for whoever asked first, and takes longer than a request is held.
pub(crate) fn starting(takes: u64) -> Refusal {
    let seconds = takes.div_ceil(1000).max(1);
    Refusal {
        retry_after: Some(seconds),
        ..Refusal::unavailable(
            "starting",
            format!("A replica is starting, which takes about {seconds} s. Send the request again."),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_error_has_openais_form() {
        let refusal = Refusal::request(StatusCode::NOT_FOUND, "model_not_found", "no such \"model\"").about("model");
        let response = refusal.response("req-1");
        assert_eq!(response.status(), 404);
        let body: Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(body["error"]["param"], "model");
        assert_eq!(body["error"]["request_id"], "req-1");
    }

    #[test]
    fn an_overload_says_when_to_come_back() {
        let response = Refusal::overload("queue_full", "busy", 7).response("r");
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &HeaderValue::from(7)));
    }

    #[test]
    fn who_is_held_in_vain_is_told_how_long_a_start_takes() {
        let response = starting(180_400).response("r");
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &HeaderValue::from(181)));
        assert!(response.body().contains("about 181 s"), "{}", response.body());
    }

    #[test]
    fn the_last_event_counts_what_was_sent() {
        let event = Refusal::upstream(StatusCode::BAD_GATEWAY, "engine_lost", "gone").event("r", 12);
        let body: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap().trim()).unwrap();
        assert_eq!((&body["error"]["tokens_sent"], &body["error"]["retryable"]), (&12.into(), &true.into()));
        assert!(event.ends_with("\n\n"));
    }
}
