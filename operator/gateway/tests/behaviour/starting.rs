//! A whole gateway, from its start without anything to its end.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use deepseek_core::gateway::GatewayConfig;
use deepseek_gateway::run::{Error, Options, run};
use deepseek_gateway::scene::Found;

use crate::engine::{Engine, completion};
use crate::gate::{ASK, Open, Reply, config, eventually, post, post_with};

/// A gateway that was started with these options.
pub struct Started {
    pub listen: SocketAddr,
    admin: SocketAddr,
    stop: Sender<()>,
    running: Option<JoinHandle<Result<(), Error>>>,
}

/// An address that is free.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Options with files in a folder, of which none is there yet.
pub fn options(folder: &Path, engine: &Engine) -> Options {
    Options {
        config: folder.join("config.json"),
        keys: None,
        tls: None,
        state: None,
        listen: free(),
        admin: free(),
        replicas: vec![Found { name: "chat-0".into(), address: engine.address, leaving: false }],
        place: None,
        workers: 1,
    }
}

/// Writes a configuration.
pub fn configure(path: &Path, config: &GatewayConfig) {
    std::fs::write(path, serde_json::to_string(config).unwrap()).unwrap();
}

impl Started {
    pub fn with(options: Options) -> Self {
        let (listen, admin, (stop, stopped)) = (options.listen, options.admin, channel());
        let wait = move || stopped.recv().map_err(std::io::Error::other);
        let running = Some(spawn(move || run(options, wait)));
        let started = Self { listen, admin, stop, running };
        eventually("the admin port answers", || TcpStream::connect(started.admin).is_ok());
        started
    }

    /// Asks the admin port.
    pub fn ask(&self, path: &str) -> Reply {
        send(self.admin, format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).unwrap()
    }

    /// Waits until `/readyz` says this.
    pub fn says(&self, text: &str) {
        eventually(text, || self.ask("/readyz").body.contains(text));
    }

    /// Tells it to stop.
    pub fn stop(&self) {
        self.stop.send(()).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Result<(), Error> {
        self.running.take().unwrap().join().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.stop.send(());
    }
}

/// Sends a request, if anybody listens.
pub fn send(to: SocketAddr, request: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).ok()?;
    Some(Open(stream).whole())
}

#[test]
fn without_a_configuration_it_waits_and_says_so() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    let options = options(folder.path(), &engine);
    let mounted = options.config.clone();
    let gateway = Started::with(options);
    gateway.says("config.json: No such file");
    assert_eq!((gateway.ask("/readyz").status, gateway.ask("/healthz").status), (503, 200));
    assert!(TcpStream::connect(gateway.listen).is_err(), "it has nothing to say to clients yet");
    std::fs::write(&mounted, "{\"servedNames\": 7}").unwrap();
    gateway.says("invalid type");
    assert_eq!(gateway.ask("/readyz").body.lines().count(), 1);
    configure(&mounted, &config());
    gateway.says("ok");
    eventually("it serves", || send(gateway.listen, &post(ASK)).is_some_and(|reply| reply.status == 200));
}

#[test]
fn peers_are_told_what_is_free() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    let options = options(folder.path(), &engine);
    configure(&options.config, &GatewayConfig { site: Some("north".into()), ..config() });
    let gateway = Started::with(options);
    gateway.says("ok");
    let capacity = || serde_json::from_str::<serde_json::Value>(&gateway.ask("/capacity").body).unwrap();
    eventually("its engine is up", || capacity()["replicasUp"] == 1);
    let expected = serde_json::json!({
        "site": "north", "servedNames": ["chat", "default"], "replicasUp": 1, "replicas": 1,
        "running": 0, "limit": 4, "waiting": 0,
    });
    assert_eq!(capacity(), expected);
}

#[test]
fn without_keys_it_refuses_everybody_until_there_are_some() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    let keys: PathBuf = folder.path().join("keys");
    let options = Options { keys: Some(keys.clone()), ..options(folder.path(), &engine) };
    configure(&options.config, &GatewayConfig { keys_required: true, ..config() });
    let gateway = Started::with(options);
    gateway.says("Keys: keysRequired is true, and there is no key");
    let ask = || send(gateway.listen, &post_with("authorization: Bearer sk-alice\r\n", ASK)).map(|reply| reply.status);
    eventually("it listens", || ask().is_some());
    assert_eq!(ask(), Some(401));
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("alice"), "sk-alice").unwrap();
    gateway.says("ok");
    eventually("it serves", || ask() == Some(200));
    std::fs::write(keys.join("bob"), "").unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!((ask(), gateway.ask("/readyz").status), (Some(200), 200), "what was good last stays");
}

#[test]
fn a_gateway_that_never_served_ends_at_once() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    let mut gateway = Started::with(options(folder.path(), &engine));
    gateway.stop();
    gateway.ended().unwrap();
}

#[test]
fn an_address_that_is_taken_ends_it() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { listen: taken.local_addr().unwrap(), ..options(folder.path(), &engine) };
    configure(&options.config, &config());
    let error = Started::with(options).ended().unwrap_err().to_string();
    assert!(error.contains("listening on 127.0.0.1"), "{error}");
}
