//! Many streams of which hardly one says anything: what each of them costs.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deepseek_core::gateway::{GatewayConfig, Limits};
use deepseek_gateway::run::{Options, run};
use deepseek_gateway::scene::Found;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::engine::{chunk, completion, stream_head, token};
use crate::gate::{STREAM, config, eventually, post};
use crate::starting::{configure, free};

/// How many, unless it is set; each takes two files of a process.
const STREAMS: usize = 2000;
const HOW_MANY: &str = "DEEPSEEK_IDLE_STREAMS";
/// For the process of the gateway.
const TOLD: &str = "DEEPSEEK_IDLE_GATEWAY";
/// Most memory of a stream, in bytes.
const MOST: usize = 48 << 10;

/// A process of its own, so that its memory is only its own.
struct Process(Child);

impl Process {
    fn start(config: &str, listen: SocketAddr, admin: SocketAddr, engine: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "idle::a_gateway_for_another_test"]);
        command.env(TOLD, format!("{config} {listen} {admin} {engine}")).stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Resident memory in bytes.
    fn memory(&self) -> usize {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.0.id())).unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "a part of another test, in a process of its own"]
fn a_gateway_for_another_test() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let [config, listen, admin, engine] = told.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let options = Options {
        config: config.into(),
        keys: None,
        tls: None,
        state: None,
        listen: listen.parse().unwrap(),
        admin: admin.parse().unwrap(),
        replicas: vec![Found { name: "chat-0".into(), address: engine.parse().unwrap(), leaving: false }],
        place: None,
        workers: 1,
    };
    // it ends with whoever started it
    run(options, || std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map(drop)).unwrap();
}

/// Says one token of each stream and then nothing more.
async fn engine(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let asked = String::from_utf8_lossy(&buffer[..read]).into_owned();
                let answer = if asked.contains("\"stream\":true") {
                    [stream_head(), chunk(&token("a"))].concat()
                } else {
                    completion("hi")
                };
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn begin(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&post(STREAM)).await.unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 512]);
    while !text.contains("\"a\"") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_streams_cost_little() {
    let streams = std::env::var(HOW_MANY).ok().and_then(|text| text.parse().ok()).unwrap_or(STREAMS);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (folder, address) = (tempfile::tempdir().unwrap(), listener.local_addr().unwrap());
    tokio::spawn(engine(listener));
    let file = folder.path().join("config.json");
    let limits = Limits { silence: 600_000, first_byte: 600_000, queue: 20_000, ..Limits::default() };
    configure(&file, &GatewayConfig { limits, max_concurrent_sequences: 100_000, ..config() });
    let (listen, admin) = (free(), free());
    let gateway = Process::start(file.to_str().unwrap(), listen, admin, address);
    eventually("it listens", || std::net::TcpStream::connect(listen).is_ok());
    // the first ones bring up what all share
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(begin(listen).await);
    }
    let before = gateway.memory();
    for _ in 0..streams / 50 {
        open.extend(futures::future::join_all((0..50).map(|_| begin(listen))).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let each = (gateway.memory() - before) / streams;
    println!("{streams} idle streams: {each} bytes each, {} KiB in all", gateway.memory() >> 10);
    assert!(each < MOST, "{each} bytes for a stream");
    drop(open);
}
