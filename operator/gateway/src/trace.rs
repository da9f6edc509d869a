//! Traces: one span for each request, sent to a collector in OTLP's JSON, where one is configured.
//!
//! Written here because the common exporter brings 18 crates along, some of them a second time, and still needs a client to be
//! written for it. What is said never enters a span; when the collector is slow or away, spans are dropped and counted, and nobody
//! waits.
//!
//! <https://www.w3.org/TR/trace-context/>, <https://opentelemetry.io/docs/specs/otlp/>

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::account::Ending;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Spans that wait to be sent: some seconds of a busy gateway.
const MOST: usize = 4096;
/// A span of a server, in OTLP's numbers.
const SERVER: u8 = 2;
/// The status of a span that failed.
const FAILED: u8 = 2;

/// Spans on their way from workers to the collector.
#[derive(Debug)]
pub struct Spans {
    queue: Sender<Span>,
    waiting: Mutex<Option<Receiver<Span>>>,
}

impl Spans {
    /// None yet.
    pub fn new() -> Self {
        let (queue, waiting) = channel(MOST);
        Self { queue, waiting: Mutex::new(Some(waiting)) }
    }

    /// Begins a span below the one that the request names, and names the new one to whoever the request is sent to. `None` when
    /// whoever began the trace does not want it recorded.
    pub fn begin(&self, headers: &mut HeaderMap) -> Option<Box<Begun>> {
        let parent = headers.get(&TRACEPARENT).and_then(|value| Parent::read(value.to_str().ok()?));
        if parent.as_ref().is_some_and(|parent| !parent.sampled) {
            return None;
        }
        if parent.is_none() {
            // it would belong to another trace
            headers.remove(&TRACESTATE);
        }
        let trace = parent.as_ref().map_or_else(|| fastrand::u128(1..), |parent| parent.trace);
        let span = fastrand::u64(1..);
        let named = HeaderValue::from_str(&format!("00-{trace:032x}-{span:016x}-01")).ok()?;
        headers.insert(TRACEPARENT, named);
        let parent = parent.map(|parent| parent.span);
        Some(Box::new(Begun { trace, span, parent, began: SystemTime::now(), queue: self.queue.clone() }))
    }

    /// The end of the queue, for the one that sends them.
    pub fn receive(&self) -> Option<Receiver<Span>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self::new()
    }
}

/// What a request names as its caller's span.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl Parent {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut part = |length| parts.next().filter(|part| part.len() == length && part.bytes().all(is_lower_hex));
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // of a version to come the beginning has this form too
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id > 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id > 0)?;
        Some(Self { trace, span, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// A span that has begun.
#[derive(Debug)]
pub struct Begun {
    trace: u128,
    span: u64,
    parent: Option<u64>,
    began: SystemTime,
    queue: Sender<Span>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its id.
    pub request_id: String,
    /// What it asked for.
    pub route: &'static str,
    /// HTTP status.
    pub status: u16,
    /// How it ended.
    pub ending: Ending,
    /// Where it ran last.
    pub replica: Option<String>,
    /// From its arrival to its end.
    pub took: Duration,
    /// In the queue.
    pub waited: Duration,
    /// To the first byte of the answer.
    pub first: Option<Duration>,
    /// Tokens read.
    pub read: u64,
    /// Tokens made.
    pub made: u64,
}

impl Begun {
    /// Ends it; false when there is no room for it.
    pub fn end(&self, outcome: Outcome) -> bool {
        let Self { trace, span, parent, began, queue } = self;
        queue.try_send(Span { trace: *trace, id: *span, parent: *parent, began: *began, outcome }).is_ok()
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    began: SystemTime,
    outcome: Outcome,
}

impl Span {
    fn json(&self) -> Value {
        let Self { trace, id, parent, began, outcome } = self;
        let start = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let failed = outcome.ending == Ending::Lost || outcome.status >= 500;
        json!({
            "traceId": format!("{trace:032x}"),
            "spanId": format!("{id:016x}"),
            "parentSpanId": parent.map_or_else(String::new, |parent| format!("{parent:016x}")),
            "name": outcome.route,
            "kind": SERVER,
            "startTimeUnixNano": start.as_nanos().to_string(),
            "endTimeUnixNano": (start + outcome.took).as_nanos().to_string(),
            "attributes": outcome.attributes(),
            "status": if failed { json!({"code": FAILED}) } else { json!({}) },
        })
    }
}

impl Outcome {
    fn attributes(&self) -> Vec<Value> {
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        // OTLP writes integers of 64 bits as text
        let number = |key: &str, value: u128| json!({"key": key, "value": {"intValue": value.to_string()}});
        let mut all = vec![
            number("http.response.status_code", self.status.into()),
            text("deepseek.request.id", &self.request_id),
            text("deepseek.ending", self.ending.name()),
            number("deepseek.queue_ms", self.waited.as_millis()),
            number("gen_ai.usage.input_tokens", self.read.into()),
            number("gen_ai.usage.output_tokens", self.made.into()),
        ];
        all.extend(self.replica.as_ref().map(|replica| text("deepseek.replica", replica)));
        all.extend(self.first.map(|first| number("deepseek.time_to_first_token_ms", first.as_millis())));
        all
    }
}

/// Spans as a collector takes them.
pub fn request(spans: &[Span], instance: &str) -> String {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let resource = [
        attribute("service.name", "deepseek-gateway"),
        attribute("service.version", env!("CARGO_PKG_VERSION")),
        attribute("service.instance.id", instance),
    ];
    let spans: Vec<_> = spans.iter().map(Span::json).collect();
    let scope = json!({"scope": {"name": "deepseek-gateway"}, "spans": spans});
    json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [scope]}]}).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(parent: &str) -> HeaderMap {
        let pairs = [(TRACEPARENT, parent), (TRACESTATE, "vendor=1")];
        pairs.into_iter().map(|(name, value)| (name, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_span_stands_below_its_caller_and_above_the_engine() {
        let spans = Spans::new();
        let mut headers = headers(PARENT);
        let begun = spans.begin(&mut headers).unwrap();
        assert_eq!(begun.parent, Some(0x00f0_67aa_0ba9_02b7));
        let named = headers["traceparent"].to_str().unwrap();
        assert_eq!(named, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01", begun.span));
        assert_eq!(headers["tracestate"], "vendor=1");
    }

    #[test]
    fn what_is_not_to_be_recorded_goes_on_as_it_is() {
        let mut headers = headers(&PARENT.replace("-01", "-00"));
        let before = headers.clone();
        assert!(Spans::new().begin(&mut headers).is_none());
        assert_eq!(headers, before);
    }

    #[test]
    fn what_cannot_be_read_begins_a_trace_of_its_own() {
        for bad in ["", "00-0", &PARENT.to_uppercase(), &PARENT.replace("4bf92f", "4bf92g"), &format!("{PARENT}-x")] {
            let mut headers = headers(bad);
            assert_eq!(Spans::new().begin(&mut headers).unwrap().parent, None, "{bad}");
            assert!(headers.get("tracestate").is_none());
        }
        for zero in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::read(zero), None);
        }
        assert!(Parent::read(&format!("{}-later", PARENT.replacen("00", "01", 1))).is_some());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in any::<String>(), like in "[0-9a-f]{0,3}-[0-9a-f]{30,33}-[0-9a-f]{14,17}-[0-9a-f]{0,3}") {
            let _ = (Parent::read(&text), Parent::read(&like));
        }
    }
}
