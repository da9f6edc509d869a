//! The admin port: `/healthz`, `/readyz`, `/metrics`, `/debug/state`, `/demand` for the operator, and `/capacity` for peers.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deepseek_core::demand::{Demand, REMEMBERED};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::ready::Readiness;
use crate::scene::Shared;

/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(50);

/// Whoever waits for a request asks again after this time.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Serves until it is dropped. Runs within a `LocalSet`.
///
/// # Errors
/// When the runtime cannot take the socket.
pub async fn serve(
    listener: StdListener,
    shared: Arc<Shared>,
    ready: Arc<Readiness>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(BREATH).await;
            continue;
        };
        let (shared, ready, stop) = (shared.clone(), ready.clone(), stop.clone());
        spawn_local(async move {
            let service = service_fn(move |request| {
                let (shared, ready, stop) = (shared.clone(), ready.clone(), stop.clone());
                async move {
                    if request.uri().path() == "/demand" {
                        wait(&shared, request.uri().query()).await;
                    }
                    let not_ready = if *stop.borrow() { Some("stopping".to_owned()) } else { ready.why_not() };
                    Ok::<_, Infallible>(answer(&shared, not_ready, &request))
                }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(5));
            // a caller that hangs up early is no concern of ours
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(shared: &Shared, not_ready: Option<String>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed\n");
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n"),
        // a gateway whose engines are all down is ready to say so
        "/readyz" => match not_ready {
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            None => text(StatusCode::OK, "ok\n"),
        },
        "/metrics" => match shared.metrics.text() {
            Ok(metrics) => text(StatusCode::OK, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/demand" => as_json(format!("{}\n", json!(demand(shared, request.uri().query())))),
        "/capacity" => as_json(format!("{}\n", json!(Capacity::of(shared)))),
        "/debug/state" => as_json(format!("{:#}\n", state(shared))),
        _ => {
            text(StatusCode::NOT_FOUND, "there are /healthz, /readyz, /metrics, /demand, /capacity and /debug/state\n")
        }
    }
}

/// `wait=N` of a query: the answer comes when a request waits, or after so many seconds.
async fn wait(shared: &Shared, query: Option<&str>) {
    let Some(seconds) = said(query, "wait") else { return };
    let limit = Duration::from_secs(seconds).min(LONGEST_WAIT);
    // that nobody asked is an answer
    let _ = timeout(limit, shared.admission.is_asked()).await;
}

/// The last `seconds=N` of a query; all that is remembered when it says nothing of the kind.
fn demand(shared: &Shared, query: Option<&str>) -> Demand {
    let seconds = said(query, "seconds").unwrap_or(REMEMBERED);
    let waiting = u32::try_from(shared.admission.waiting()).unwrap_or(u32::MAX);
    Demand { waiting, ..shared.metrics.load.told(seconds) }
}

/// A number of a query.
fn said<T: FromStr>(query: Option<&str>, name: &str) -> Option<T> {
    let mut parts = query.unwrap_or_default().split('&').filter_map(|part| part.split_once('='));
    parts.find_map(|(key, value)| (key == name).then_some(value)?.parse().ok())
}

/// What peers want to know before they send somebody over.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// The site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Models.
    pub served_names: Vec<String>,
    /// Replicas that get traffic.
    pub replicas_up: usize,
    /// Replicas.
    pub replicas: usize,
    /// Requests that this gateway runs on those that get traffic.
    pub running: u32,
    /// Requests that may run on those.
    pub limit: u32,
    /// Requests that wait.
    pub waiting: usize,
}

impl Capacity {
    /// As it is now.
    pub fn of(shared: &Shared) -> Self {
        let scene = shared.scene();
        let up = || scene.replicas.iter().filter(|replica| replica.is_up());
        Self {
            site: scene.config.site.clone(),
            served_names: scene.config.served_names.clone(),
            replicas_up: up().count(),
            replicas: scene.replicas.len(),
            running: up().map(|replica| replica.running()).sum(),
            limit: up().map(|replica| replica.limit()).sum(),
            waiting: shared.admission.waiting(),
        }
    }
}

fn state(shared: &Shared) -> Value {
    let scene = shared.scene();
    let replicas: Vec<_> = (scene.replicas.iter())
        .map(|replica| {
            json!({
                "name": replica.name,
                "address": replica.address,
                "state": format!("{:?}", replica.state()),
                "running": replica.running(),
                "limit": replica.limit(),
                "weight": replica.candidate().weight,
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": &*scene.config,
        "keys": scene.keys.len(),
        "waiting": shared.admission.waiting(),
        "replicas": replicas,
    })
}

fn as_json(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = status;
    response
}
