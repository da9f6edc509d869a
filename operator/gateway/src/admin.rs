//! The admin port: `/healthz`, `/readyz`, `/metrics`, `/debug/state`.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_local;

use crate::ready::Readiness;
use crate::scene::Shared;

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
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (shared, ready, stop) = (shared.clone(), ready.clone(), stop.clone());
        spawn_local(async move {
            let service = service_fn(move |request| {
                let not_ready = if *stop.borrow() { Some("stopping".to_owned()) } else { ready.why_not() };
                let answer = answer(&shared, not_ready, &request);
                async move { Ok::<_, Infallible>(answer) }
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
        "/debug/state" => text(StatusCode::OK, state(shared)),
        _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz, /metrics and /debug/state\n"),
    }
}

fn state(shared: &Shared) -> String {
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
    let state = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": &*scene.config,
        "keys": scene.keys.len(),
        "waiting": shared.admission.waiting(),
        "replicas": replicas,
    });
    format!("{state:#}\n")
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = status;
    response
}
