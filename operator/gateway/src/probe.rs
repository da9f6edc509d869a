//! Asks every replica each second whether it is there, and every few seconds for a token.
//!
//! A replica that makes tokens for somebody shows by that that it is well: no canary then, and a slow probe does not count.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deepseek_core::gateway::GatewayConfig;
use deepseek_crds::v1alpha1::EngineType;
use http::{Method, Request, header};
use serde_json::json;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::health::{Signal, State};
use crate::line::Line;
use crate::replica::Replica;
use crate::said::Said;
use crate::scene::Shared;
use crate::upstream;

/// Between two probes, and the longest that one may take.
const PROBE: Duration = Duration::from_secs(1);
/// Between two canaries of a replica that is well.
const CANARY: Duration = Duration::from_secs(8);
/// The longest that a canary may take.
const CANARY_LIMIT: Duration = Duration::from_secs(4);
/// How often the set of replicas is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Longest answer to a canary that is read.
const LONGEST: usize = 64 << 10;

/// Attends to all replicas, as they come and go; never returns. Runs within a `LocalSet`.
///
/// One that is gone is attended to for as long as it runs something: who waits for it is let go when it falls.
pub async fn attend(shared: Arc<Shared>) {
    let mut attended: HashMap<usize, (Arc<Replica>, [AbortHandle; 2])> = HashMap::new();
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        let scene = shared.scene();
        attended.retain(|_, (replica, tasks)| {
            let stays = replica.running() > 0 || scene.replicas.iter().any(|known| Arc::ptr_eq(known, replica));
            if !stays {
                tasks.iter().for_each(AbortHandle::abort);
                let _ = shared.metrics.replica_up.remove_label_values(&[&replica.name]);
            }
            stays
        });
        for replica in scene.replicas.iter() {
            attended.entry(Arc::as_ptr(replica).addr()).or_insert_with(|| {
                let tasks = [
                    spawn_local(probes(shared.clone(), replica.clone())).abort_handle(),
                    spawn_local(canaries(shared.clone(), replica.clone())).abort_handle(),
                ];
                (replica.clone(), tasks)
            });
        }
    }
}

async fn probes(shared: Arc<Shared>, replica: Arc<Replica>) {
    let mut due = interval(PROBE);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let signal = probe(&replica, &shared.scene().config).await;
        match signal {
            Some(Signal::Soft) if replica.heard_within(PROBE) => {}
            Some(signal) => note(&shared, &replica, signal),
            None => {}
        }
    }
}

/// A canary follows each good probe until the replica is up; then one comes every few seconds, unless tokens come anyway.
async fn canaries(shared: Arc<Shared>, replica: Arc<Replica>) {
    let mut due = interval(PROBE);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since = CANARY;
    loop {
        due.tick().await;
        since += PROBE;
        let up = replica.state() == State::Up;
        if up && (since < CANARY || replica.heard_within(CANARY)) {
            continue;
        }
        since = Duration::ZERO;
        let Some(signal) = canary(&replica, &shared.scene().config).await else { continue };
        note(&shared, &replica, signal);
        // one that failed is followed by another at once, so that a hung engine is found within 20 s
        if signal == Signal::Mute && up {
            since = CANARY;
        }
    }
}

fn note(shared: &Shared, replica: &Replica, signal: Signal) {
    if let Some(state) = replica.note(signal) {
        tracing::info!(replica = replica.name, address = %replica.address, ?state, ?signal, "replica changed");
        shared.admission.given_back();
    }
    shared.metrics.replica_up.with_label_values(&[&replica.name]).set(i64::from(replica.is_up()));
}

/// What a probe says; nothing when it could not be made.
async fn probe(replica: &Replica, config: &GatewayConfig) -> Option<Signal> {
    let asked = timeout(PROBE, async {
        let mut line = match Line::open(replica.address, PROBE).await {
            Ok(line) => line,
            Err(error) => return upstream::signal(&error),
        };
        let (asked, body) = get(health_path(&config.engine)).into_parts();
        let Ok(answer) = line.send(&asked, &body).await else { return Some(Signal::Hard) };
        Some(if answer.status().is_success() { Signal::Probed } else { Signal::Soft })
    });
    asked.await.unwrap_or(Some(Signal::Soft))
}

fn health_path(engine: &EngineType) -> &'static str {
    match engine {
        EngineType::LlamaCpp => "/health",
        EngineType::Simulator => "/health/ready",
        _ => "/v1/models",
    }
}

/// What a canary says; nothing when there is no connection, of which probes say enough.
async fn canary(replica: &Replica, config: &GatewayConfig) -> Option<Signal> {
    let mut line = Line::open(replica.address, PROBE).await.ok()?;
    let asked = timeout(CANARY_LIMIT, async {
        let (asked, body) = question(config).into_parts();
        line.send(&asked, &body).await.ok().filter(|answer| answer.status().is_success())?;
        let mut said = Said::default();
        said.note(&text(&mut line).await?);
        (said.pieces > 0 || said.usage.is_some_and(|usage| usage.completion_tokens > 0)).then_some(())
    });
    Some(if matches!(asked.await, Ok(Some(()))) { Signal::Sang } else { Signal::Mute })
}

/// The whole answer, if it is no longer than an answer to a canary can be.
async fn text(line: &mut Line) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while let Some(piece) = std::future::poll_fn(|cx| line.poll_piece(cx)).await {
        text.extend_from_slice(&piece.ok()?);
        if text.len() > LONGEST {
            return None;
        }
    }
    Some(text)
}

fn get(path: &'static str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static(path);
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("engine"));
    request
}

fn question(config: &GatewayConfig) -> Request<Bytes> {
    let question = json!({
        "model": config.served_names.first(),
        "messages": [{"role": "user", "content": "ping"}],
        "max_tokens": 1,
    });
    let mut request = get("/v1/chat/completions");
    *request.method_mut() = Method::POST;
    *request.body_mut() = Bytes::from(question.to_string());
    request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    request
}
