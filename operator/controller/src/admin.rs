//! The admin port: `/livez`, `/readyz` (names what is missing), `/metrics`, `/debug/state`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::children;
use crate::lease::Leading;
use crate::metrics::Metrics;
use crate::silence::Silences;
use crate::watch::Stores;

/// What the admin port tells of.
pub struct Admin {
    /// Local copies.
    pub stores: Stores,
    /// Nodes that do not answer.
    pub silences: Silences,
    /// Whether this replica writes.
    pub leading: watch::Receiver<Option<Arc<Leading>>>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Who this replica is.
    pub identity: String,
}

/// Serves until it is dropped.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(address: SocketAddr, admin: Admin) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let admin = Arc::new(admin);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let admin = admin.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(answer(&admin, &request)) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(std::time::Duration::from_secs(5));
            // a caller that hangs up early is no concern of ours
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(admin: &Admin, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => readiness(&admin.stores.missing()),
        "/metrics" => match admin.metrics.text() {
            Ok(metrics) => text(StatusCode::OK, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/debug/state" => text(StatusCode::OK, state(admin)),
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /debug/state\n".to_owned()),
    }
}

fn readiness(missing: &[&str]) -> Response<Full<Bytes>> {
    match missing {
        [] => text(StatusCode::OK, "ok\n".to_owned()),
        missing => {
            text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for the first list of: {}\n", missing.join(", ")))
        }
    }
}

fn state(admin: &Admin) -> String {
    let Stores { deployments, workloads: _, services: _, children, pods, nodes, claims, node_changes: _ } = &admin.stores;
    let mut stored: BTreeMap<_, _> =
        children.iter().map(|(kind, store)| (children::plural(*kind), store.count())).collect();
    stored.extend([
        ("deepseekdeployments", deployments.len()),
        ("pods", pods.len()),
        ("nodes", nodes.len()),
        ("persistentvolumeclaims", claims.len()),
    ]);
    let state = json!({
        "identity": admin.identity,
        "version": env!("CARGO_PKG_VERSION"),
        "leading": admin.leading.borrow().is_some(),
        "waitingFor": admin.stores.missing(),
        "stored": stored,
        "silentNodes": admin.silences.silent(),
    });
    format!("{state:#}\n")
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}
