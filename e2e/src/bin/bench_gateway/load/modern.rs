//! As many requests as go, over HTTP/2 or TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::try_join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Seen, Spread, body, number};

const WARM: Duration = Duration::from_millis(700);

/// What is spoken.
pub struct Kind {
    /// HTTP/2.
    pub h2: bool,
    /// The certificate of whom TLS is spoken with.
    pub tls: Option<PathBuf>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

#[derive(Clone)]
enum Sender {
    One(Arc<tokio::sync::Mutex<http1::SendRequest<Full<Bytes>>>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

pub async fn run(to: SocketAddr, kind: Kind, connections: usize, streams: usize, span: Duration) -> Result<Seen> {
    ensure!(kind.h2 || streams == 1, "HTTP/1.1 carries one request at a time");
    let tls = kind.tls.as_deref().map(|certificate| connector(certificate, kind.h2)).transpose()?;
    let start = Instant::now() + WARM;
    let mut runs = Vec::new();
    for connection in 0..connections {
        let sender = connect(to, tls.as_ref(), kind.h2).await?;
        for stream in 0..streams {
            let body = Bytes::from(body(connection * streams + stream, "", false, 0));
            runs.push(requests(to, sender.clone(), body, start, span));
        }
    }
    let all = try_join_all(runs).await?;
    let count = |run: &(Vec<f64>, f64)| run.1;
    let asked: f64 = all.iter().map(count).sum();
    let times: Vec<f64> = all.into_iter().flat_map(|(times, _)| times).collect();
    Ok(Seen {
        count: number(times.len()),
        seconds: span.as_secs_f64(),
        all: asked,
        times: Spread::of(times),
        ..Seen::default()
    })
}

/// One request after the other: the times of those that are measured, and the number of all.
async fn requests(
    to: SocketAddr,
    sender: Sender,
    body: Bytes,
    start: Instant,
    span: Duration,
) -> Result<(Vec<f64>, f64)> {
    let (mut times, mut all) = (Vec::new(), 0.0);
    loop {
        let asked = Instant::now();
        if asked >= start + span {
            return Ok((times, all));
        }
        let answer = sender.send(question(to, body.clone(), matches!(sender, Sender::Two(_)))?).await?;
        ensure!(answer.status() == StatusCode::OK, "answered with {}", answer.status());
        answer.into_body().collect().await?;
        all += 1.0;
        if asked >= start {
            times.push(asked.elapsed().as_secs_f64());
        }
    }
}

fn question(to: SocketAddr, body: Bytes, h2: bool) -> Result<Request<Full<Bytes>>> {
    let path = "/v1/chat/completions";
    let request = if h2 {
        Request::post(format!("http://{to}{path}"))
    } else {
        Request::post(path).header("host", to.to_string())
    };
    Ok(request.header("content-type", "application/json").body(Full::from(body))?)
}

impl Sender {
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>> {
        match self {
            Self::One(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Self::Two(sender) => Ok(sender.clone().send_request(request).await?),
        }
    }
}

async fn connect(to: SocketAddr, tls: Option<&TlsConnector>, h2: bool) -> Result<Sender> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.connect(ServerName::try_from("bench.local")?, stream).await?),
    };
    let io = TokioIo::new(stream);
    if h2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        return Ok(Sender::Two(sender));
    }
    let (sender, connection) = http1::handshake(io).await?;
    tokio::spawn(connection);
    Ok(Sender::One(Arc::new(tokio::sync::Mutex::new(sender))))
}

/// Trusts this certificate alone.
fn connector(certificate: &Path, h2: bool) -> Result<TlsConnector> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).map_err(|error| anyhow!("{error}")).context("certificate")?)?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(TlsConnector::from(Arc::new(config)))
}
