//! What the gateway refuses, and how.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use deepseek_core::gateway::{Client, GatewayConfig};
use deepseek_gateway::keys::Keys;

use crate::engine::{Engine, Step, completion};
use crate::gate::{ASK, Gate, config, eventually, post, post_with};

#[test]
fn a_model_that_is_not_served_is_named_with_those_that_are() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let reply = gate.chat(&ASK.replace("\"chat\"", "\"gpt-4\""));
    let error = reply.error();
    assert_eq!(
        (reply.status, error["code"].as_str(), error["param"].as_str()),
        (404, Some("model_not_found"), Some("model"))
    );
    assert!(error["message"].as_str().unwrap().contains("Served here: chat, default."), "{error}");
    assert!(engine.seen().is_empty());
}

#[test]
fn administration_is_not_reachable() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    for line in ["POST /sleep", "GET /metrics", "GET /slots", "DELETE /v1/models", "GET /v1/chat/completions"] {
        let reply = gate.send(format!("{line} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").as_bytes()).whole();
        assert_eq!((reply.status, reply.error()["code"].as_str()), (404, Some("unknown_url")), "{line}");
    }
    assert!(engine.seen().is_empty());
}

#[test]
fn keys_are_asked_for_and_kept_from_engines() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alice"), "sk-alice").unwrap();
    let limits = BTreeMap::from([("alice".to_owned(), Client { requests_per_minute: Some(2), ..Client::default() })]);
    let keys = Keys::read(folder.path(), &limits, &Keys::default()).unwrap();
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::with(GatewayConfig { keys_required: true, ..config() }, keys, &[&engine]);
    for head in ["", "authorization: Bearer sk-bob\r\n", "authorization: sk-alice\r\n"] {
        let reply = gate.send(&post_with(head, ASK)).whole();
        assert_eq!((reply.status, reply.error()["code"].as_str()), (401, Some("invalid_api_key")), "{head}");
    }
    let ask = || gate.send(&post_with("Authorization: Bearer sk-alice\r\n", ASK)).whole();
    assert_eq!((ask().status, ask().status), (200, 200));
    let limited = ask();
    assert_eq!((limited.status, limited.error()["code"].as_str()), (429, Some("rate_limit_exceeded")));
    assert!(limited.head.contains("retry-after: "), "{limited:?}");
    assert!(engine.seen().iter().all(|seen| !seen.contains("sk-alice")));
}

#[test]
fn what_is_too_long_or_too_slow_is_refused() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let long = ASK.replace("hello", &"x".repeat(5000));
    assert_eq!(gate.chat(&long).status, 413);
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let piece = format!("1000\r\n{}\r\n", "x".repeat(4096));
    assert_eq!(gate.send(format!("{head}{piece}{piece}0\r\n\r\n").as_bytes()).whole().status, 413);
    let slow = gate.send(&post(ASK)[..post(ASK).len() - 3]).whole();
    assert_eq!((slow.status, slow.error()["code"].as_str()), (408, Some("request_timeout")));
    assert!(engine.seen().is_empty());
}

#[test]
fn a_body_that_is_no_object_is_the_engines_to_refuse() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    assert_eq!(gate.chat("[1, 2").status, 200);
    assert!(engine.seen()[0].ends_with("[1, 2"));
}

#[test]
fn who_finds_no_room_is_told_when_to_come_back() {
    let engine = Engine::with(vec![vec![Step::Wait(Duration::from_millis(900)), Step::Send(completion("hi"))]]);
    let gate = Gate::with(GatewayConfig { max_concurrent_sequences: 1, ..config() }, Keys::default(), &[&engine]);
    thread::scope(|scope| {
        let running = scope.spawn(|| gate.chat(ASK));
        eventually("it runs", || engine.seen().len() == 1);
        let waiting: Vec<_> = (0..2).map(|_| scope.spawn(|| gate.chat(ASK))).collect();
        eventually("two wait", || gate.shared.admission.waiting() == 2);
        let refused = gate.chat(ASK);
        assert_eq!((refused.status, refused.error()["code"].as_str()), (429, Some("queue_full")));
        assert!(refused.head.contains("retry-after: "), "{refused:?}");
        for waiting in waiting {
            let reply = waiting.join().unwrap();
            assert_eq!((reply.status, reply.error()["code"].as_str()), (429, Some("queue_timeout")));
        }
        assert_eq!(running.join().unwrap().status, 200);
    });
}

#[test]
fn without_a_replica_it_says_so() {
    let gate = Gate::before(&[]);
    let reply = gate.chat(ASK);
    assert_eq!((reply.status, reply.error()["code"].as_str()), (503, Some("no_replica")));
}
