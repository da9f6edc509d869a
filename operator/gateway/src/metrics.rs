//! What the gateway counts, in the names and units of Prometheus.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::account::Ending;
use crate::demand::Load;
use crate::route::Route;

/// Seconds that matter to somebody who waits: from a cached answer to a long prompt.
const WAITS: [f64; 14] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
/// Seconds between two pieces of a stream.
const GAPS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1.0, 5.0, 15.0];
/// Seconds of a whole answer.
const WHOLES: [f64; 12] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    arrivals: IntCounterVec,
    requests: IntCounterVec,
    in_flight: IntGauge,
    seconds: Histogram,
    tokens_read: IntCounter,
    tokens_made: IntCounter,
    /// Tokens that engines still had in their caches, as far as they say so.
    pub cached_tokens: IntCounter,
    /// Time in the queue.
    pub queue_seconds: Histogram,
    /// Time to the first byte of an answer.
    pub first_byte_seconds: Histogram,
    /// Time between two pieces of an answer.
    pub between_seconds: Histogram,
    /// Requests that were tried again, by reason.
    pub retries: IntCounterVec,
    /// Requests that were refused, by reason and priority.
    pub sheds: IntCounterVec,
    /// Whether a replica gets traffic.
    pub replica_up: IntGaugeVec,
    /// Requests in the queue.
    pub queue: IntGauge,
    /// Watches of the API server that were interrupted, by stream.
    pub watch_errors: IntCounterVec,
    /// Spans of traces, by what became of them.
    pub spans: IntCounterVec,
    /// The load by the second.
    pub load: Load,
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// When a name is used twice, which would be a defect.
    pub fn new() -> prometheus::Result<Arc<Self>> {
        let registry = Registry::new();
        let metrics = Self {
            arrivals: counters(
                &registry,
                "requests_received_total",
                "Requests that reached the gateway, by route; also those it refused.",
                &["route"],
            )?,
            requests: counters(
                &registry,
                "requests_total",
                "Requests that are over, by route, HTTP status and ending (completed, refused, lost, cancelled).",
                &["route", "code", "ending"],
            )?,
            in_flight: gauge(&registry, "requests_in_flight", "Requests that have arrived and are not over.")?,
            seconds: histogram(
                &registry,
                "request_duration_seconds",
                "From the arrival of a request to the last byte of its answer.",
                &WHOLES,
            )?,
            tokens_read: counter(&registry, "prompt_tokens_total", "Tokens that engines read, as they count them.")?,
            tokens_made: counter(
                &registry,
                "completion_tokens_total",
                "Tokens that engines made, as they count them; of streams without usage, their pieces.",
            )?,
            cached_tokens: counter(
                &registry,
                "cached_prompt_tokens_total",
                "Tokens that engines still had in their caches, as far as they say so.",
            )?,
            queue_seconds: histogram(
                &registry,
                "queue_duration_seconds",
                "From the arrival of a request until it had a place on a replica.",
                &WAITS,
            )?,
            first_byte_seconds: histogram(
                &registry,
                "time_to_first_token_seconds",
                "From the arrival of a request to the first byte of its answer.",
                &WAITS,
            )?,
            between_seconds: histogram(
                &registry,
                "inter_token_latency_seconds",
                "Between two pieces of an answer.",
                &GAPS,
            )?,
            retries: counters(
                &registry,
                "retries_total",
                "Requests that were tried on another replica, by reason.",
                &["reason"],
            )?,
            sheds: counters(
                &registry,
                "sheds_total",
                "Requests that were refused for want of room, by reason and priority.",
                &["reason", "priority"],
            )?,
            replica_up: gauges(&registry, "replica_up", "1 while a replica gets traffic.", &["replica"])?,
            queue: gauge(&registry, "queue_length", "Requests that wait for a place on a replica.")?,
            watch_errors: counters(
                &registry,
                "watch_errors_total",
                "Watches of the API server that were interrupted, by stream.",
                &["stream"],
            )?,
            spans: counters(
                &registry,
                "spans_total",
                "Spans of traces, by what became of them (sent, dropped).",
                &["outcome"],
            )?,
            load: Load::default(),
            registry,
        };
        Ok(Arc::new(metrics))
    }

    /// A request has arrived.
    pub fn arrived(&self, route: Route) {
        self.arrivals.with_label_values(&[route.name]).inc();
        self.in_flight.inc();
    }

    /// A request is over.
    pub fn ended(&self, route: Route, ending: Ending, status: u16, took: Duration, read: u64, made: u64) {
        let mut code = [0; 3];
        self.requests.with_label_values(&[route.name, digits(status, &mut code), ending.name()]).inc();
        self.in_flight.dec();
        self.seconds.observe(took.as_secs_f64());
        self.tokens_read.inc_by(read);
        self.tokens_made.inc_by(made);
    }

    /// Tokens that engines read and made.
    pub fn tokens(&self) -> u64 {
        self.tokens_read.get() + self.tokens_made.get()
    }

    /// As Prometheus reads them.
    ///
    /// # Errors
    /// When they cannot be written, which would be a defect.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A status in digits, without an allocation.
fn digits(status: u16, buffer: &mut [u8; 3]) -> &str {
    for (at, unit) in [100, 10, 1].into_iter().enumerate() {
        buffer[at] = b'0' + u8::try_from(status / unit % 10).unwrap_or(0);
    }
    std::str::from_utf8(buffer).unwrap_or("000")
}

fn named(name: &str) -> String {
    format!("deepseek_gateway_{name}")
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let metric = IntCounter::new(named(name), help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    let metric = IntCounterVec::new(Opts::new(named(name), help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let metric = IntGauge::new(named(name), help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    let metric = IntGaugeVec::new(Opts::new(named(name), help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    let metric = Histogram::with_opts(HistogramOpts::new(named(name), help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::new().unwrap();
        let route = Route { name: "chat_completions", infers: true, upgrades: false };
        metrics.arrived(route);
        metrics.ended(route, Ending::Completed, 200, Duration::from_millis(20), 7, 3);
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        for line in [
            r#"deepseek_gateway_requests_received_total{route="chat_completions"} 1"#,
            r#"deepseek_gateway_requests_total{code="200",ending="completed",route="chat_completions"} 1"#,
            "deepseek_gateway_requests_in_flight 0",
            "deepseek_gateway_completion_tokens_total 3",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
