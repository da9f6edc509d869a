//! Many streams of which hardly one says anything: what each of them costs the program that users run.

#![allow(clippy::unwrap_used, reason = "a panic is how a test speaks")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How many, if there may be so many files: each stream takes two of the gateway's and two of this process.
const STREAMS: u64 = 10_000;
/// Files that a process has besides.
const OTHER_FILES: u64 = 200;
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

/// As many as there may be files for; the gateway inherits the limit.
fn how_many() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let files = maximum.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES);
    usize::try_from(STREAMS.min(files / 2)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_streams_cost_little() {
    let streams = how_many();
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
    let mut open = join_all((0..20).map(|_| begin(listen))).await;
    let before = gateway.memory();
    for _ in 0..streams / 50 {
        open.extend(join_all((0..50).map(|_| begin(listen))).await);
    }
    sleep(Duration::from_millis(500)).await;
    let each = (gateway.memory() - before) / streams;
    println!("{streams} idle streams: {each} bytes each");
    assert!(each < MOST, "{each} bytes for a stream");
}
