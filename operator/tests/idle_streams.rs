//! Many streams of which hardly one says anything: what each of them costs the program that users run.

#![allow(clippy::unwrap_used, reason = "a panic is how a test speaks")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How many, half of them over connections of their own, half of them over HTTP/2: then 16,000 files are enough.
const STREAMS: usize = 10_000;
/// HTTP/2 streams of one connection.
const SHARED: usize = 100;
/// Each takes a file towards the engine, and half of them one towards the client; some more are there besides.
const FILES: u64 = 16_000;
/// Most memory of a stream, in bytes: about half more than an unoptimised build takes.
const MOST: usize = 48 << 10;
const QUESTION: &str = r#"{"model":"chat","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const COMPLETION: &str =
    r#"{"choices":[{"message":{"content":"a"},"finish_reason":"length"}],"usage":{"completion_tokens":1}}"#;

/// A process of its own, so that its memory is only its own.
struct Gateway(Child);

impl Gateway {
    fn start(config: &str, listen: SocketAddr, engine: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepseek-operator"));
        command.args(["gateway", "--workers=1", "--admin=127.0.0.1:0", "--log=off", "--config", config]);
        command.args([format!("--listen={listen}"), format!("--replica=chat-0={engine}")]);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Resident memory in bytes.
    fn memory(&self) -> usize {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.0.id())).unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says one token of each stream and then nothing more; whoever asks for no stream is answered in full.
async fn engine(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let streams = String::from_utf8_lossy(&buffer[..read]).contains("\"stream\":true");
                let answer = if streams {
                    let head =
                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                    format!("{head}{:x}\r\n{TOKEN}\r\n", TOKEN.len())
                } else {
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{COMPLETION}", COMPLETION.len())
                };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn begin(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: chat\r\ncontent-type: application/json";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{QUESTION}", QUESTION.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 512]);
    while !text.contains("\"a\"") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    stream
}

/// Streams that share a connection.
async fn begin_together(address: SocketAddr) -> Vec<Incoming> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    join_all((0..SHARED).map(|_| begin_one(sender.clone()))).await
}

async fn begin_one(mut sender: SendRequest<Full<Bytes>>) -> Incoming {
    let request = Request::post("http://chat/v1/chat/completions").header("content-type", "application/json");
    let answer = sender.send_request(request.body(Full::from(QUESTION)).unwrap()).await.unwrap();
    let mut stream = answer.into_body();
    let mut text = String::new();
    while !text.contains("\"a\"") {
        let frame = stream.frame().await.unwrap_or_else(|| panic!("{text}")).unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    stream
}

/// The gateway inherits the limit.
fn allow_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.unwrap_or(u64::MAX);
    assert!(most >= FILES, "this takes {FILES} open files, and `ulimit -Hn` allows {most}: raise it");
    let current = current.map(|current| current.max(FILES));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_streams_cost_little() {
    allow_files();
    let engines = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine_address = engines.local_addr().unwrap();
    tokio::spawn(engine(engines));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let limits = r#"{"silence": 600000, "firstByte": 600000}"#;
    let text = format!(
        r#"{{"servedNames": ["chat"], "engine": "Simulator", "maxConcurrentSequences": 100000, "limits": {limits}}}"#
    );
    std::fs::write(&config, text).unwrap();
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(config.to_str().unwrap(), listen, engine_address);
    for _ in 0..100 {
        if TcpStream::connect(listen).await.is_ok() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    // the first ones bring up what all share
    let mut alone = join_all((0..20).map(|_| begin(listen))).await;
    let mut together = begin_together(listen).await;
    let half = STREAMS / 2;
    let before = gateway.memory();
    while alone.len() < half {
        alone.extend(join_all((0..20).map(|_| begin(listen))).await);
    }
    let between = gateway.memory();
    while together.len() < half {
        together.extend(begin_together(listen).await);
    }
    sleep(Duration::from_millis(500)).await;
    let each = [(between - before) / half, (gateway.memory() - between) / half];
    println!("{STREAMS} idle streams: {} bytes each over HTTP/1.1, {} over HTTP/2", each[0], each[1]);
    assert!(each.iter().all(|bytes| *bytes < MOST), "{each:?} bytes for a stream");
}
