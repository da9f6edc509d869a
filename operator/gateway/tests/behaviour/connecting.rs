//! What connections clients may make, and which are ended.

use std::io::{Read, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use deepseek_core::gateway::GatewayConfig;
use deepseek_gateway::keys::Keys;
use deepseek_gateway::tls::{Certificate, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Kept, ONE, OTHER, asking, hands, http2, text};
use crate::engine::{Engine, completion};
use crate::gate::{ASK, Gate, config, eventually, post};
use crate::starting::{Started, configure, options};

fn write(folder: &Path, [chain, key]: [&str; 2]) {
    std::fs::write(folder.join("tls.crt"), chain).unwrap();
    std::fs::write(folder.join("tls.key"), key).unwrap();
}

#[tokio::test]
async fn http_1_and_http_2_go_over_tls() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    write(folder.path(), ONE);
    let certificate = Certificate::within(folder.path().to_owned());
    certificate.look().unwrap();
    let gate = Gate::over(Some(Tls::with(certificate).unwrap()), config(), Keys::default(), &[engine.address]);
    let (mut stream, _) = hands(gate.address, &[]).await;
    stream.write_all(&post(ASK)).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hi"), "{answer}");
    let (stream, _) = hands(gate.address, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, _connection) = http2(stream).await;
    let answer = sender.send_request(asking(ASK)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    assert!(answer.headers()["x-request-id"].to_str().unwrap().starts_with("req-"));
    assert!(text(answer).await.contains("hi"));
}

#[tokio::test]
async fn http_2_needs_no_tls() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let (mut sender, _connection) = http2(TcpStream::connect(gate.address).await.unwrap()).await;
    for _ in 0..3 {
        let answer = sender.send_request(asking(ASK)).await.unwrap();
        assert!(text(answer).await.contains("hi"));
    }
    // engines know neither the other form of an address, nor requests without a host
    let usual =
        |seen: &String| seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n") && seen.contains("host: gate\r\n");
    assert!(engine.seen().iter().all(usual), "{:?}", engine.seen());
}

#[test]
fn a_certificate_is_waited_for_and_its_successor_taken_over() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Engine::saying(completion("hi")));
    let tls = folder.path().join("tls");
    std::fs::create_dir(&tls).unwrap();
    let options = deepseek_gateway::run::Options { tls: Some(tls.clone()), ..options(folder.path(), &engine) };
    configure(&options.config, &config());
    let gateway = Started::with(options);
    gateway.says("tls.crt: No such file");
    assert!(std::net::TcpStream::connect(gateway.listen).is_err(), "nobody could shake hands");
    write(&tls, ONE);
    gateway.says("ok");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shown = || {
        std::net::TcpStream::connect(gateway.listen).ok()?;
        Some(runtime.block_on(hands(gateway.listen, &[])).1)
    };
    eventually("it listens", || shown().is_some());
    let first = shown();
    write(&tls, [OTHER[0], ONE[1]]);
    sleep(Duration::from_millis(2500));
    assert_eq!(shown(), first, "a key that does not fit changes nothing");
    write(&tls, OTHER);
    eventually("the other is shown", || shown() != first);
}

#[test]
fn who_says_nothing_or_too_slowly_is_cut() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    // silent; in the middle of a preface of HTTP/2; in the middle of a head
    for begun in ["", "PRI * HT", "POST /v1/chat/comp", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n"] {
        let reply = gate.send(begun.as_bytes()).whole();
        assert!(reply.took < Duration::from_secs(3), "{begun:?}: {reply:?}");
    }
    let mut dripping = std::net::TcpStream::connect(gate.address).unwrap();
    let dripped = (0..40).take_while(|_| {
        sleep(Duration::from_millis(50));
        dripping.write_all(b"x").is_ok()
    });
    assert!(dripped.count() < 40, "a byte now and then does not keep a connection");
    assert!(engine.seen().is_empty());
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let long = "GET /v1/models HTTP/1.1\r\nhost: g\r\nx-long: ".to_owned() + &"x".repeat(64 << 10);
    let reply = gate.send(&long.as_bytes()[..64 << 10]).whole();
    assert_eq!(reply.status, 431, "{reply:?}");
    let many = format!("GET /v1/models HTTP/1.1\r\nhost: g\r\n{}\r\n", "x: y\r\n".repeat(2000));
    assert_eq!(gate.send(many.as_bytes()).whole().status, 431);
}

#[test]
fn who_still_writes_a_body_that_is_too_long_hears_why() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let long = ASK.replace("hello", &"x".repeat(4 << 20));
    assert_eq!(gate.chat(&long).status, 413);
}

#[test]
fn what_is_no_http_is_refused_and_harms_nobody() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nbad header\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let reply = gate.send(nonsense).whole();
        assert_eq!(reply.status, 400, "{:?}: {reply:?}", String::from_utf8_lossy(nonsense));
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frame at all, but long enough to be one";
    assert!(gate.send(preface).whole().took < Duration::from_secs(3));
    assert!(engine.seen().is_empty());
    assert_eq!(gate.chat(ASK).status, 200);
}

#[test]
fn a_kept_connection_serves_many_requests() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let mut kept = Kept::open(gate.address).unwrap();
    for _ in 0..5 {
        let piece = kept.ask().unwrap();
        assert!(piece.status == 200 && !piece.closing && piece.body.contains("hi"), "{piece:?}");
    }
}

/// Otherwise HTTP/2 resets the stream under its answer, and HTTP/1 the connection.
#[test]
fn who_is_refused_may_say_all_of_it_and_ask_again() {
    let engine = Engine::saying(completion("hi"));
    let nobody = GatewayConfig { keys_required: true, ..config() };
    for (gate, request, status) in [
        (Gate::with(nobody, Keys::default(), &[&engine]), "POST /v1/chat/completions", 401),
        (Gate::before(&[&engine]), "POST /sleep", 404),
    ] {
        let mut stream = std::net::TcpStream::connect(gate.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for _ in 0..2 {
            stream
                .write_all(format!("{request} HTTP/1.1\r\nhost: gate\r\ncontent-length: 4000\r\n\r\n").as_bytes())
                .unwrap();
            sleep(Duration::from_millis(200));
            stream.write_all(&[b'x'; 4000]).unwrap();
            let (mut said, mut buffer) = (String::new(), [0; 2048]);
            while !said.contains("\"request_id\"") {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "{request}: {said}");
                said.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
        }
    }
}
