//! What happens when engines fail: nothing hangs, and what can be saved is saved.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use deepseek_core::gateway::{GatewayConfig, Limits};
use deepseek_gateway::health::{Health, Signal};
use deepseek_gateway::keys::Keys;
use deepseek_gateway::scene::Found;

use crate::engine::{Engine, Step, chunk, completion, end, json, stream_head, token};
use crate::gate::{ASK, Gate, STREAM, config, eventually, post};

/// An address where nobody listens.
fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_request_that_one_replica_refuses_is_answered_by_the_other() {
    for bad in [
        vec![Step::Close],
        vec![Step::Send(json("503 Service Unavailable", "{}"))],
        vec![Step::Send(json("200 OK", r#"{"choices":[{"message":{"content":""},"finish_reason":"abort"}]}"#))],
        vec![Step::Send(b"no HTTP at all\r\n\r\n".to_vec()), Step::Close],
    ] {
        let (bad, good) = (Engine::with(vec![bad]), Engine::saying(completion("hi")));
        let gate = Gate::before(&[&bad, &good]);
        // not too often: a fifth of the requests may be tried again
        for _ in (0..40).take_while(|_| bad.seen().is_empty()) {
            let reply = gate.chat(ASK);
            assert!(reply.status == 200 && reply.body.contains("hi"), "{reply:?}");
        }
        assert!(!bad.seen().is_empty(), "it was asked");
    }
}

#[test]
fn a_dead_replica_costs_no_request() {
    let good = Engine::saying(completion("hi"));
    let gate = Gate::at(config(), Keys::default(), &[nobody(), good.address]);
    for _ in 0..40 {
        assert_eq!(gate.chat(ASK).status, 200);
    }
    assert!(gate.counts("deepseek_gateway_retries_total{reason=\"refused\"}"));
    assert!(!gate.shared.scene().replicas[0].is_up(), "two refusals in a row take it out");
}

#[test]
fn a_stream_that_aborts_before_a_word_is_tried_again() {
    let abort = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\ndata: \
                 {\"choices\":[{\"delta\":{},\"finish_reason\":\"abort\"}]}\n\ndata: [DONE]\n\n";
    let bad = Engine::with(vec![vec![Step::Send(stream_head()), Step::Send(chunk(abort)), Step::Send(end())]]);
    let good = Engine::with(vec![vec![Step::Send(stream_head()), Step::Send(chunk(&token("hi"))), Step::Send(end())]]);
    let gate = Gate::before(&[&bad, &good]);
    for _ in (0..40).take_while(|_| bad.seen().is_empty()) {
        let reply = gate.chat(STREAM);
        assert!(reply.body.contains("hi") && !reply.body.contains("abort"), "{reply:?}");
    }
    assert!(gate.counts("deepseek_gateway_retries_total{reason=\"abort\"}"));
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_event() {
    for last in [vec![Step::Close], vec![Step::Wait(Duration::from_secs(3))], vec![Step::Send(b"zz\r\n".to_vec())]] {
        let mut script =
            vec![Step::Send(stream_head()), Step::Send(chunk(&token("a"))), Step::Send(chunk("data: {\"half"))];
        script.extend(last);
        let engine = Engine::with(vec![script]);
        let gate = Gate::before(&[&engine]);
        let reply = gate.chat(STREAM);
        assert!(reply.complete, "the close is clean: {reply:?}");
        let (said, error) = reply.body.split_at(token("a").len());
        assert_eq!(said, token("a"), "no half of an event comes through");
        let error: serde_json::Value = serde_json::from_str(error.trim().strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "engine_lost");
        assert_eq!((&error["error"]["tokens_sent"], &error["error"]["retryable"]), (&1.into(), &true.into()));
        assert!(reply.took < Duration::from_secs(2), "{reply:?}");
        assert!(gate.counts("ending=\"lost\""));
    }
}

#[test]
fn an_answer_in_one_piece_that_breaks_off_is_cut() {
    let engine = Engine::with(vec![vec![
        Step::Send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"choices\":[{\"message\":{\"content\":\"ha".to_vec()),
        Step::Wait(Duration::from_millis(100)),
        Step::Close,
    ]]);
    let gate = Gate::before(&[&engine]);
    let reply = gate.chat(ASK);
    assert!(reply.body.len() < 900, "half of it is not made to look like the whole: {reply:?}");
}

#[test]
fn an_engine_that_hangs_is_given_up() {
    let engine = Engine::with(vec![vec![Step::Wait(Duration::from_secs(5))]]);
    let gate = Gate::before(&[&engine]);
    let reply = gate.chat(ASK);
    assert_eq!((reply.status, reply.error()["code"].as_str()), (504, Some("engine_timeout")));
    assert!(reply.took < Duration::from_secs(2), "{reply:?}");
}

#[test]
fn who_waits_for_a_replica_that_is_found_down_is_served_by_another() {
    let (frozen, good) = (Engine::with(vec![vec![Step::UntilGone]]), Engine::saying(completion("hi")));
    let gate = Gate::before(&[&frozen, &good]);
    // whichever is asked first, one of several requests waits for the frozen one
    thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| gate.chat(ASK))).collect();
        eventually("the frozen one is asked", || !frozen.seen().is_empty());
        let down = gate.shared.scene().replicas[0].clone();
        for _ in 0..3 {
            down.note(Signal::Soft);
        }
        for reply in asked {
            assert_eq!(reply.join().unwrap().status, 200);
        }
    });
    assert!(gate.counts("deepseek_gateway_retries_total{reason=\"down\"}"));
}

#[test]
fn who_waits_for_a_replica_that_has_gone_is_let_go_when_it_falls() {
    let (frozen, good) = (Engine::with(vec![vec![Step::UntilGone]]), Engine::saying(completion("hi")));
    let limits = Limits { first_byte: 30_000, ..config().limits };
    let gate = Gate::with(GatewayConfig { limits, ..config() }, Keys::default(), &[&frozen, &good]);
    gate.probe();
    eventually("it is attended to", || gate.counts("replica_up{replica=\"chat-1\"} 1"));
    thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| gate.chat(ASK))).collect();
        eventually("the frozen one is asked", || gate.shared.scene().replicas[0].running() > 0);
        let stays = Found { name: "chat-1".into(), address: good.address, leaving: false };
        gate.shared.replace(&[stays], Health::trusted());
        for reply in asked {
            let reply = reply.join().unwrap();
            assert!(reply.status == 200 && reply.took < Duration::from_secs(8), "{reply:?}");
        }
    });
}

#[test]
fn who_waits_for_a_stream_gets_comments_and_then_the_stream() {
    let engine = Engine::with(vec![vec![
        Step::Wait(Duration::from_millis(700)),
        Step::Send(stream_head()),
        Step::Send(chunk(&token("a"))),
        Step::Send(end()),
    ]]);
    let reply = Gate::before(&[&engine]).chat(STREAM);
    assert!(reply.body.starts_with(": waiting\n\n: waiting\n\n"), "{reply:?}");
    assert!(reply.body.ends_with(&token("a")) && reply.complete, "{reply:?}");
    assert!(reply.head.contains("text/event-stream"));
}

#[test]
fn who_waits_in_vain_gets_an_error_event() {
    let engine = Engine::with(vec![vec![Step::Wait(Duration::from_secs(5))]]);
    let reply = Gate::before(&[&engine]).chat(STREAM);
    assert!(reply.status == 200 && reply.body.contains("engine_timeout") && reply.complete, "{reply:?}");
}

#[test]
fn a_client_that_goes_takes_its_work_along() {
    let silent = Engine::with(vec![vec![Step::UntilGone]]);
    let gate = Gate::before(&[&silent]);
    let open = gate.send(&post(STREAM));
    eventually("it is asked", || silent.seen().len() == 1);
    drop(open);
    eventually("the engine is left alone", || silent.gone() == 1);
    eventually("it is counted", || gate.counts("ending=\"cancelled\""));
    let speaking = Engine::with(vec![vec![Step::Send(stream_head()), Step::Send(chunk(&token("a"))), Step::UntilGone]]);
    let gate = Gate::before(&[&speaking]);
    let mut open = gate.send(&post(STREAM));
    open.until("\"a\"");
    drop(open);
    eventually("the engine is left alone", || speaking.gone() == 1);
    eventually("its place is free", || gate.shared.scene().replicas[0].running() == 0);
}
