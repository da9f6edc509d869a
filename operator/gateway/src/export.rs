//! Sends spans to the collector that the configuration names: in batches, over a connection for each, from the control thread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::scene::Shared;
use crate::trace::request;

/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// Spans that are sent at once.
const BATCH: usize = 512;
/// Longest time for a batch.
const LIMIT: Duration = Duration::from_secs(5);
/// The path of traces, where an endpoint has none.
const PATH: &str = "/v1/traces";

/// Sends what there is; never returns. Runs within a `LocalSet`.
pub async fn export(shared: Arc<Shared>) {
    let instance = std::env::var("HOSTNAME").unwrap_or_default();
    let Some(mut queue) = shared.spans.receive() else { return std::future::pending().await };
    let (mut batch, mut complaint) = (Vec::new(), String::new());
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH {
            sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(span) = queue.try_recv()
            {
                batch.push(span);
            }
        }
        let count = batch.len() as u64;
        let body = request(&batch, &instance);
        batch.clear();
        let Some(endpoint) = shared.scene().config.otlp_endpoint.clone() else { continue };
        let sent = timeout(LIMIT, send(&endpoint, body)).await.unwrap_or_else(|_| Err("it takes too long".to_owned()));
        match sent {
            Ok(()) => {
                complaint.clear();
                shared.metrics.spans.with_label_values(&["sent"]).inc_by(count);
            }
            Err(why) => {
                shared.metrics.spans.with_label_values(&["dropped"]).inc_by(count);
                if why != complaint {
                    tracing::warn!(endpoint, why, "traces are dropped");
                    complaint = why;
                }
            }
        }
    }
}

async fn send(endpoint: &str, body: String) -> Result<(), String> {
    let uri: Uri = endpoint.parse().map_err(|error| format!("{error}"))?;
    let authority =
        uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or("only http://HOST:PORT is spoken")?;
    let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(4318));
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // its errors come back with the answer
    spawn_local(async move { drop(connection.await) });
    let path = if uri.path().ends_with(PATH) {
        uri.path().to_owned()
    } else {
        uri.path().trim_end_matches('/').to_owned() + PATH
    };
    let request = Request::post(path)
        .header(header::HOST, HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if answer.status() == StatusCode::OK { Ok(()) } else { Err(format!("it answers with HTTP {}", answer.status())) }
}
