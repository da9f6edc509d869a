//! What the gateway tells of requests, and what it never tells.

use std::sync::{Arc, Mutex};

use deepseek_core::gateway::GatewayConfig;
use deepseek_gateway::run::Options;
use serde_json::Value;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::engine::{Engine, Step, chunk, completion, end, stream_head, token};
use crate::gate::{ASK, Gate, STREAM, config, eventually, post_with};
use crate::starting::{Started, configure, options, send};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traceparent() -> String {
    format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\ntracestate: vendor=1\r\n")
}

fn line<'a>(seen: &'a str, name: &str) -> &'a str {
    seen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

#[test]
fn without_a_collector_the_trace_goes_on_as_it_is() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    gate.send(&post_with(&traceparent(), ASK)).whole();
    let seen = engine.seen().remove(0);
    assert_eq!(line(&seen, "traceparent"), format!("00-{TRACE}-00f067aa0ba902b7-01"));
    assert_eq!(line(&seen, "tracestate"), "vendor=1");
}

#[test]
fn a_collector_gets_a_span_between_the_client_and_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, collector) = (Engine::saying(completion("hi")), Engine::saying(crate::engine::json("200 OK", "{}")));
    let options = options(folder.path(), &engine);
    let otlp_endpoint = Some(format!("http://{}", collector.address));
    configure(&options.config, &GatewayConfig { otlp_endpoint, ..config() });
    let gateway = Started::with(options);
    let ask = || send(gateway.listen, &post_with(&traceparent(), ASK));
    eventually("it serves", || ask().is_some_and(|reply| reply.status == 200));
    eventually("a span is sent", || !collector.seen().is_empty());
    let sent = collector.seen().remove(0);
    assert!(
        sent.starts_with("POST /v1/traces HTTP/1.1\r\n") && sent.contains("content-type: application/json"),
        "{sent}"
    );
    let spans: Value = serde_json::from_str(sent.split_once("\r\n\r\n").unwrap().1).unwrap();
    let spans = spans["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    let span = spans.iter().find(|span| span["status"] == serde_json::json!({})).unwrap();
    assert_eq!((span["traceId"].as_str(), span["parentSpanId"].as_str()), (Some(TRACE), Some("00f067aa0ba902b7")));
    assert_eq!((span["name"].as_str(), span["kind"].as_u64()), (Some("chat_completions"), Some(2)));
    let named = engine
        .seen()
        .iter()
        .filter(|seen| seen.contains("traceparent"))
        .map(|seen| line(seen, "traceparent").to_owned())
        .next();
    assert_eq!(named, Some(format!("00-{TRACE}-{}-01", span["spanId"].as_str().unwrap())));
    let attribute = |key: &str| {
        let all = span["attributes"].as_array().unwrap();
        all.iter().find(|attribute| attribute["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!(attribute("http.response.status_code")["intValue"], "200");
    assert_eq!(attribute("gen_ai.usage.output_tokens")["intValue"], "2");
    let nanos = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos("endTimeUnixNano") > nanos("startTimeUnixNano"));
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    let options = options(folder.path(), &engine);
    configure(&options.config, &GatewayConfig { otlp_endpoint: Some("http://127.0.0.1:1".into()), ..config() });
    let gateway = Started::with(options);
    eventually("it serves", || send(gateway.listen, &post_with("", ASK)).is_some_and(|reply| reply.status == 200));
    eventually("it is counted", || gateway.ask("/metrics").body.contains("spans_total{outcome=\"dropped\"}"));
}

/// What was logged by our own code, by anybody in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything from now on, down to the least.
    fn begin() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let ours = Targets::new().with_target("deepseek_gateway", Level::TRACE).with_target("access", Level::TRACE);
        tracing_subscriber::registry().with(layer.with_filter(ours)).init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Engines of all kinds of conduct, each of which repeats what must not be told.
fn indiscreet(marker: &str) -> Vec<Vec<Step>> {
    let broken = vec![Step::Send(stream_head()), Step::Send(chunk(&token(marker))), Step::Close];
    let error = crate::engine::json("500 Internal Server Error", &format!("{{\"error\":\"{marker}\"}}"));
    vec![
        vec![Step::Send(completion(marker))],
        broken,
        vec![Step::Send(error)],
        vec![Step::Send(format!("HTTP/1.1 {marker}\r\n{marker}: x\r\n\r\n").into()), Step::Close],
        vec![Step::Send(stream_head()), Step::Send(format!("{marker}\r\n").into()), Step::UntilGone],
        vec![Step::Send(stream_head()), Step::Send(chunk(&token(marker))), Step::Send(end())],
    ]
}

#[test]
fn what_is_said_and_keys_are_never_told() {
    let (prompt, said, key) = ("PROMPT-7f3a", "ANSWER-91bc", "sk-KEY-44de");
    let (log, folder) = (Log::begin(), tempfile::tempdir().unwrap());
    let collector = Engine::saying(crate::engine::json("200 OK", "{}"));
    let engine = Engine::seeming_well((0..9).flat_map(|_| indiscreet(said)).collect());
    let keys = folder.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("alice"), key).unwrap();
    let options = Options { keys: Some(keys), ..options(folder.path(), &engine) };
    let otlp_endpoint = Some(format!("http://{}", collector.address));
    let told = GatewayConfig { otlp_endpoint, access_log: true, keys_required: true, ..config() };
    configure(&options.config, &told);
    let gateway = Started::with(options);
    gateway.says("ok");
    let head = format!("authorization: Bearer {key}\r\n");
    for body in [ASK, STREAM].iter().cycle().take(12) {
        let body = body.replace("hello", prompt);
        for body in [&body, &body.replace("\"chat\"", "\"none\""), &body[..body.len() - 9], &format!("{body}{prompt}")]
        {
            let _ = send(gateway.listen, &post_with(&head, body));
            let _ = send(gateway.listen, &post_with(&format!("authorization: Bearer {key}x\r\n"), body));
        }
    }
    assert!(engine.seen().iter().any(|seen| seen.contains(prompt)), "engines are asked");
    eventually("it is logged", || log.text().contains("alice") && log.text().contains("answer cut"));
    eventually("spans are sent", || collector.seen().len() > 1);
    let all = [log.text(), gateway.ask("/metrics").body, gateway.ask("/debug/state").body, collector.seen().concat()];
    for (at, text) in all.iter().enumerate() {
        assert!(!text.is_empty());
        for marker in [prompt, said, key] {
            assert!(!text.contains(marker), "{marker} is in number {at}:\n{text}");
        }
    }
}
