//! The fast loop: asks engines for a token. It only looks; deployments whose answer changes are woken.
//!
//! A Pod is asked as soon as the kubelet calls it Ready, then every [`Rhythm::healthy`] while it answers and every
//! [`Rhythm::failing`] while it does not. One that has answered before counts as failed after three misses in a row, so that a
//! single slow answer under load is not taken for an outage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deepseek_core::observed::Canary;
use deepseek_core::render::{DEPLOYMENT_LABEL, PORT, SERVED_NAMES};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::observe::is_ready;
use crate::seen::SeenPod;
use crate::watch::Waker;

/// Misses in a row after which a Pod that has answered before counts as failed.
const MISSES: u32 = 3;
/// Canaries under way at once.
const AT_ONCE: usize = 32;
/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;
/// How often the list of Pods is looked through.
const LOOK: Duration = Duration::from_millis(200);

/// How often engines are asked.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// While they answer.
    pub healthy: Duration,
    /// While they do not.
    pub failing: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { healthy: Duration::from_secs(15), failing: Duration::from_secs(1), timeout: Duration::from_secs(20) }
    }
}

/// What the canaries saw last.
#[derive(Clone, Default)]
pub struct Canaries(Arc<Mutex<HashMap<String, Record>>>);

#[derive(Clone, Debug)]
struct Record {
    seen: Option<Canary>,
    misses: u32,
    due: Instant,
    under_way: bool,
}

/// One canary to send: to which Pod, and for which names.
struct Errand {
    uid: String,
    name: String,
    namespace: String,
    address: String,
    served: Vec<String>,
}

impl Canaries {
    /// What was seen of this Pod.
    pub fn of(&self, pod: &SeenPod) -> Option<Canary> {
        self.lock().get(&identity(pod)).and_then(|record| record.seen.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pods that are due, at most so many; forgets those that are gone.
    fn due(&self, pods: &[Arc<SeenPod>], most: usize) -> Vec<Errand> {
        let now = Instant::now();
        let ready: HashMap<String, &Arc<SeenPod>> =
            pods.iter().filter(|pod| is_ready(pod)).map(|pod| (identity(pod), pod)).collect();
        let mut records = self.lock();
        records.retain(|uid, record| record.under_way || ready.contains_key(uid));
        let mut errands = Vec::new();
        for (uid, pod) in ready {
            if errands.len() >= most {
                break;
            }
            let record = records.entry(uid.clone()).or_insert_with(|| Record {
                seen: None,
                misses: 0,
                due: now,
                under_way: false,
            });
            let due = record.due <= now && !record.under_way;
            if let Some(errand) = due.then(|| errand(uid, pod)).flatten() {
                record.under_way = true;
                errands.push(errand);
            }
        }
        errands
    }

    /// Records an answer; true when what is known of the Pod has changed.
    fn record(&self, uid: &str, answer: Result<(), String>, rhythm: Rhythm) -> bool {
        let mut records = self.lock();
        let Some(record) = records.get_mut(uid) else { return false };
        record.under_way = false;
        let before = record.seen.clone();
        match answer {
            Ok(()) => {
                record.misses = 0;
                record.seen = Some(Canary::Answered);
            }
            Err(message) => {
                record.misses += 1;
                if before != Some(Canary::Answered) || record.misses >= MISSES {
                    record.seen = Some(Canary::Failed(message));
                }
            }
        }
        record.due = Instant::now() + if record.misses == 0 { rhythm.healthy } else { rhythm.failing };
        record.seen != before
    }
}

/// A restarted container is another engine.
fn identity(pod: &SeenPod) -> String {
    let restarts: i32 = pod.status.container_statuses.iter().map(|status| status.restart_count).sum();
    format!("{}/{restarts}", pod.uid().unwrap_or_default())
}

fn errand(uid: String, pod: &SeenPod) -> Option<Errand> {
    let address = match pod.status.pod_ip.as_deref()? {
        v6 if v6.contains(':') => format!("[{v6}]:{PORT}"),
        v4 => format!("{v4}:{PORT}"),
    };
    let served = pod.annotations().get(SERVED_NAMES)?.split(',').map(str::to_owned).collect();
    let name = pod.labels().get(DEPLOYMENT_LABEL)?.clone();
    Some(Errand { uid, name, namespace: pod.namespace().unwrap_or_default(), address, served })
}

/// Looks for as long as it is not dropped.
pub async fn sentry(pods: Store<SeenPod>, canaries: Canaries, waker: Waker, metrics: Arc<Metrics>, rhythm: Rhythm) {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(2)));
    let client: HttpClient = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let mut under_way = FuturesUnordered::new();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = looks.tick() => {
                let room = AT_ONCE.saturating_sub(under_way.len());
                for errand in canaries.due(&engine_pods(&pods), room) {
                    under_way.push(run(client.clone(), errand, rhythm.timeout));
                }
            }
            Some((errand, answer)) = under_way.next(), if !under_way.is_empty() => {
                metrics.canaries.with_label_values(&[if answer.is_ok() { "answered" } else { "failed" }]).inc();
                if canaries.record(&errand.uid, answer, rhythm) {
                    waker.wake(&errand.name, &errand.namespace);
                }
            }
        }
    }
}

fn engine_pods(pods: &Store<SeenPod>) -> Vec<Arc<SeenPod>> {
    pods.state_filter(|pod| pod.labels().contains_key(DEPLOYMENT_LABEL))
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

async fn run(client: HttpClient, errand: Errand, limit: Duration) -> (Errand, Result<(), String>) {
    let asked = tokio::time::timeout(limit, canary(&client, &errand.address, &errand.served)).await;
    let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())));
    (errand, answer)
}

/// The served names are listed, and a token comes.
async fn canary(client: &HttpClient, address: &str, served: &[String]) -> Result<(), String> {
    let models = ask(client, http::Method::GET, address, "/v1/models", None).await?;
    let listed = listed_names(&models);
    if let Some(absent) = served.iter().find(|name| !listed.contains(&name.as_str())) {
        return Err(format!("GET /v1/models does not list {absent:?}, but {listed:?}"));
    }
    let question = json!({
        "model": served.first(),
        "messages": [{"role": "user", "content": "ping"}],
        "max_tokens": 1,
    });
    let answer = ask(client, http::Method::POST, address, "/v1/chat/completions", Some(question)).await?;
    a_token(&answer)
}

/// Names and aliases under which an engine lists its models.
fn listed_names(models: &Value) -> Vec<&str> {
    let data = models["data"].as_array().into_iter().flatten();
    data.flat_map(|model| {
        let aliases = model["aliases"].as_array().into_iter().flatten();
        aliases.chain([&model["id"]]).filter_map(Value::as_str)
    })
    .collect()
}

/// HTTP 200 alone proves nothing: an engine that stops may answer it with `finish_reason: "abort"` and no text.
fn a_token(answer: &Value) -> Result<(), String> {
    let finish = answer["choices"][0]["finish_reason"].as_str().unwrap_or("none");
    let tokens = answer["usage"]["completion_tokens"].as_u64();
    let text = &answer["choices"][0]["message"];
    let spoke = tokens.map_or_else(
        || [&text["content"], &text["reasoning_content"]].iter().any(|t| t.as_str().is_some_and(|t| !t.is_empty())),
        |count| count >= 1,
    );
    match finish {
        "stop" | "length" | "tool_calls" if spoke => Ok(()),
        _ => Err(format!("POST /v1/chat/completions gave no token (finish_reason {finish:?})")),
    }
}

async fn ask(
    client: &HttpClient,
    method: http::Method,
    address: &str,
    path: &str,
    body: Option<Value>,
) -> Result<Value, String> {
    let told = format!("{method} {path}");
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("content-type", "application/json")
        .header("user-agent", "deepseek-operator-canary")
        .body(Full::from(body.map(|b| b.to_string()).unwrap_or_default()))
        .map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| format!("{told}: {}", root_cause(&error)))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
    let bytes = body.map_err(|error| format!("{told}: {error}"))?.to_bytes();
    if !status.is_success() {
        return Err(format!("{told} answers HTTP {}", status.as_u16()));
    }
    serde_json::from_slice(&bytes).map_err(|_| format!("{told} answers no JSON"))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_abort_is_no_token() {
        let abort = json!({"choices": [{"finish_reason": "abort", "message": {"content": ""}}], "usage": {"completion_tokens": 0}});
        assert!(a_token(&abort).is_err());
        let empty = json!({"choices": [{"finish_reason": "stop", "message": {"content": ""}}]});
        assert!(a_token(&empty).is_err());
        let token = json!({"choices": [{"finish_reason": "length", "message": {"content": ""}}], "usage": {"completion_tokens": 1}});
        assert!(a_token(&token).is_ok());
        let words = json!({"choices": [{"finish_reason": "stop", "message": {"reasoning_content": "Hm"}}]});
        assert!(a_token(&words).is_ok());
    }

    #[test]
    fn aliases_count_as_names() {
        let models = json!({"data": [{"id": "a", "aliases": ["b"]}, {"id": "c"}]});
        assert_eq!(listed_names(&models), ["b", "a", "c"]);
    }
}
