//! A gateway in front of some engines, and clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use deepseek_core::gateway::{GatewayConfig, Limits};
use deepseek_crds::v1alpha1::EngineType;
use deepseek_gateway::health::Health;
use deepseek_gateway::keys::Keys;
use deepseek_gateway::metrics::Metrics;
use deepseek_gateway::probe::attend;
use deepseek_gateway::scene::{Found, Shared};
use deepseek_gateway::serve::work;
use deepseek_gateway::tls::Tls;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::engine::Engine;

/// A configuration with short limits.
pub fn config() -> GatewayConfig {
    GatewayConfig {
        site: None,
        served_names: vec!["chat".into(), "default".into()],
        engine: EngineType::LlamaCpp,
        max_concurrent_sequences: 4,
        affinity: false,
        access_log: false,
        otlp_endpoint: None,
        limits: Limits {
            queue: 2,
            queue_time: 300,
            body: 4096,
            first_byte: 1000,
            silence: 400,
            comment: 200,
            arrival: 500,
            drain: 2000,
            ..Limits::default()
        },
        keys_required: false,
        hold: None,
        clients: [].into(),
    }
}

/// A gateway that runs.
pub struct Gate {
    pub address: SocketAddr,
    pub shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    worker: Option<thread::JoinHandle<std::io::Result<()>>>,
}

impl Gate {
    /// In front of these.
    pub fn before(engines: &[&Engine]) -> Self {
        Self::with(config(), Keys::default(), engines)
    }

    /// With a configuration.
    pub fn with(config: GatewayConfig, keys: Keys, engines: &[&Engine]) -> Self {
        let addresses: Vec<_> = engines.iter().map(|engine| engine.address).collect();
        Self::at(config, keys, &addresses)
    }

    /// In front of these addresses, of which some may be nobody's.
    pub fn at(config: GatewayConfig, keys: Keys, addresses: &[SocketAddr]) -> Self {
        Self::over(None, config, keys, addresses)
    }

    /// With TLS, if there is any.
    pub fn over(tls: Option<Tls>, config: GatewayConfig, keys: Keys, addresses: &[SocketAddr]) -> Self {
        let shared = Shared::new(config, keys, Metrics::new().unwrap());
        let found = addresses.iter().enumerate().map(|(at, address)| Found {
            name: format!("chat-{at}"),
            address: *address,
            leaving: false,
        });
        shared.replace(&found.collect::<Vec<_>>(), Health::trusted());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = watch::channel(false);
        let worker = {
            let shared = shared.clone();
            thread::spawn(move || work(listener, tls, shared, stopped))
        };
        Self { address, shared, stop, worker: Some(worker) }
    }

    /// Lets it ask its engines whether they are well, until the end of the test.
    pub fn probe(&self) {
        let shared = self.shared.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, attend(shared));
        });
    }

    /// Tells it to stop.
    pub fn stop(&self) {
        self.stop.send(true).unwrap();
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) {
        self.worker.take().unwrap().join().unwrap().unwrap();
    }

    /// Sends a chat completion and returns the whole answer.
    pub fn chat(&self, body: &str) -> Reply {
        self.send(&post(body)).whole()
    }

    /// Sends bytes over a connection of their own.
    pub fn send(&self, request: &[u8]) -> Open {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request).unwrap();
        Open(stream)
    }

    /// What the gateway has counted.
    pub fn counts(&self, line: &str) -> bool {
        String::from_utf8(self.shared.metrics.text().unwrap()).unwrap().contains(line)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// A request that was sent.
pub struct Open(pub TcpStream);

impl Open {
    /// Reads to the end.
    pub fn whole(mut self) -> Reply {
        let start = Instant::now();
        let mut bytes = Vec::new();
        let broken = self.0.read_to_end(&mut bytes).is_err();
        Reply::of(&bytes, broken, start.elapsed())
    }

    /// Reads until this text has come.
    pub fn until(&mut self, text: &str) -> String {
        let (mut all, mut buffer) = (String::new(), [0; 1024]);
        while !all.contains(text) {
            let read = self.0.read(&mut buffer).unwrap();
            assert!(read > 0, "it ended before {text:?}: {all}");
            all.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        all
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    /// Without the frames of chunks.
    pub body: String,
    /// Whether it came to its proper end.
    pub complete: bool,
    pub took: Duration,
}

impl Reply {
    fn of(bytes: &[u8], broken: bool, took: Duration) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let head = head.to_ascii_lowercase();
        let (body, complete) =
            if head.contains("transfer-encoding: chunked") { unchunked(rest) } else { (rest.to_owned(), true) };
        Self { status, head, body, complete: complete && !broken, took }
    }

    /// The error, as OpenAI's clients read it.
    pub fn error(&self) -> serde_json::Value {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no error: {self:?}"));
        body["error"].clone()
    }
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else { return (body, false) };
        if size == 0 {
            return (body, true);
        }
        let Some(piece) = more.get(..size) else { return (body, false) };
        body.push_str(piece);
        rest = more.get(size + 2..).unwrap_or("");
    }
    (body, false)
}

/// A request for a chat completion.
pub fn post(body: &str) -> Vec<u8> {
    post_with("", body)
}

/// The same with further lines in its head.
pub fn post_with(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{head}\r\n{body}").into()
}

/// Asks for an answer in one piece.
pub const ASK: &str = r#"{"model":"chat","messages":[{"role":"user","content":"hello"}]}"#;
/// Asks for a stream.
pub const STREAM: &str = r#"{"model":"chat","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;

/// Waits until something is so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(5), "not within 5 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
