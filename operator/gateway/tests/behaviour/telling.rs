//! What the gateway tells of requests, and what it never tells.

use deepseek_core::gateway::GatewayConfig;
use serde_json::Value;

use crate::engine::{Engine, completion};
use crate::gate::{ASK, Gate, config, eventually, post_with};
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
