//! Clients that keep their connections, speak TLS and HTTP/2.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::gate::{ASK, post};

/// A connection that is kept for more than one request.
pub struct Kept(BufReader<TcpStream>);

/// What a kept connection brought.
#[derive(Debug)]
pub struct Piece {
    pub status: u16,
    /// The gateway asks for another connection.
    pub closing: bool,
    pub body: String,
}

impl Kept {
    pub fn open(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Asks for a completion, and reads its answer of a known length.
    pub fn ask(&mut self) -> std::io::Result<Piece> {
        let request = String::from_utf8(post(ASK)).unwrap().replace("connection: close\r\n", "");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length, mut closing) = (0, 0, false);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(code) = line.strip_prefix("http/1.1 ") {
                status = code[..3].parse().unwrap();
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            closing |= line == "connection: close";
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Piece { status, closing, body: String::from_utf8(body).unwrap() })
    }

    /// Whether the gateway has closed it, sooner or later.
    pub fn ends(&mut self) -> bool {
        self.0.read(&mut [0]).is_ok_and(|read| read == 0)
    }
}

/// Shakes hands as somebody who trusts both of the tests' certificates; returns the certificate that was shown.
pub async fn hands(to: SocketAddr, alpn: &[&str]) -> (TlsStream<tokio::net::TcpStream>, Vec<u8>) {
    let mut roots = RootCertStore::empty();
    for pem in [ONE[0], OTHER[0]] {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let mut config =
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(to).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("gate").unwrap(), stream).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    (stream, shown)
}

/// A certificate and its key.
pub const ONE: [&str; 2] = [include_str!("certificates/one.crt"), include_str!("certificates/one.key")];
/// Another certificate and its key.
pub const OTHER: [&str; 2] = [include_str!("certificates/other.crt"), include_str!("certificates/other.key")];

/// Speaks HTTP/2 over a stream; the second value is the end of the connection.
pub async fn http2<S>(stream: S) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// A request for HTTP/2.
pub fn asking(body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post("http://gate/v1/chat/completions").header("content-type", "application/json");
    request.body(Full::from(body)).unwrap()
}

/// The text of an answer.
pub async fn text(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
