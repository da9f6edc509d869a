//! Requests that become a WebSocket.

use std::io::{Read, Write};
use std::time::Duration;

use deepseek_core::gateway::GatewayConfig;
use deepseek_crds::v1alpha1::EngineType;
use deepseek_gateway::keys::Keys;

use crate::engine::{Engine, Step, json};
use crate::gate::{Gate, Open, config, eventually};

fn agreeing() -> Engine {
    let agreed = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: yes\r\n\r\n";
    Engine::with(vec![vec![Step::Send(agreed.to_vec()), Step::Echo]])
}

fn realtime() -> GatewayConfig {
    GatewayConfig { engine: EngineType::Custom, max_concurrent_sequences: 1, ..config() }
}

fn before(engine: &Engine) -> Gate {
    Gate::with(realtime(), Keys::default(), &[engine])
}

fn asking(head: &str) -> Vec<u8> {
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: abc\r\n";
    format!("GET /v1/realtime?model=chat HTTP/1.1\r\nhost: g\r\n{upgrade}{head}\r\n").into()
}

fn agreed(gate: &Gate) -> Open {
    let mut open = gate.send(&asking(""));
    let head = open.until("\r\n\r\n").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("sec-websocket-accept: yes"), "{head}");
    assert!(head.contains("upgrade: websocket") && head.contains("x-request-id: req-"), "{head}");
    open
}

#[test]
fn bytes_go_both_ways_and_count_as_one_request() {
    let engine = agreeing();
    let gate = before(&engine);
    let mut open = agreed(&gate);
    let seen = engine.seen().remove(0).to_lowercase();
    assert!(seen.contains("connection: upgrade") && seen.contains("sec-websocket-key: abc"), "{seen}");
    for piece in ["hello", "again"] {
        open.0.write_all(piece.as_bytes()).unwrap();
        assert_eq!(open.until(piece), piece);
    }
    assert_eq!(gate.shared.scene().replicas[0].running(), 1);
    assert!(gate.counts("requests_in_flight 1") && gate.counts(r#"requests_received_total{route="realtime"} 1"#));
    drop(open);
    eventually("the engine is left alone", || engine.gone() == 1);
    eventually("its place is free", || gate.shared.scene().replicas[0].running() == 0);
    assert!(gate.counts(r#"requests_total{code="101",ending="completed",route="realtime"} 1"#));
}

#[test]
fn it_ends_with_the_engines_side_too() {
    let engine = agreeing();
    let gate = before(&engine);
    let mut open = agreed(&gate);
    open.0.write_all(b"bye").unwrap();
    assert_eq!(open.0.read(&mut [0]).unwrap(), 0);
    eventually("its place is free", || gate.shared.scene().replicas[0].running() == 0);
}

#[test]
fn a_gateway_that_stops_waits_for_it() {
    let engine = agreeing();
    let mut gate = before(&engine);
    let mut open = agreed(&gate);
    gate.stop();
    std::thread::sleep(Duration::from_millis(300));
    open.0.write_all(b"still").unwrap();
    assert_eq!(open.until("still"), "still");
    drop(open);
    gate.ended();
}

#[test]
fn who_may_not_or_does_not_ask_for_one_is_told_so() {
    let engine = agreeing();
    let gate = Gate::with(GatewayConfig { keys_required: true, ..realtime() }, Keys::default(), &[&engine]);
    assert_eq!(gate.send(&asking("connection: close\r\n")).whole().status, 401);
    let gate = before(&engine);
    let plain = b"GET /v1/realtime HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    assert_eq!(gate.send(plain).whole().status, 426);
    let other = String::from_utf8(asking("")).unwrap().replace("model=chat", "model=gpt");
    assert_eq!(gate.send(other.as_bytes()).whole().status, 404);
    assert!(engine.seen().is_empty());
    let open = agreed(&gate);
    assert_eq!(gate.send(&asking("")).whole().status, 429, "the replica is full");
    drop(open);
}

#[test]
fn an_engine_that_declines_is_heard() {
    let engine = Engine::saying(json("403 Forbidden", r#"{"error":"no"}"#));
    let gate = before(&engine);
    let mut open = gate.send(&asking(""));
    let reply = open.until("no\"}");
    assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
    assert_eq!(gate.shared.scene().replicas[0].running(), 0);
}
