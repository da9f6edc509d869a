//! What goes through, byte for byte.

use std::time::Duration;

use crate::engine::{Engine, Step, chunk, completion, end, json, stream_head, token};
use crate::gate::{ASK, Gate, STREAM, eventually, post, post_with};

#[test]
fn a_completion_goes_through_as_it_is() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let reply = gate.chat(ASK);
    assert_eq!(reply.status, 200);
    assert!(completion("hi").ends_with(reply.body.as_bytes()), "{reply:?}");
    let seen = engine.seen().remove(0);
    assert!(seen.ends_with(ASK) && seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{seen}");
    assert!(
        !seen.to_lowercase().contains("connection: close"),
        "what is between client and gateway stays there: {seen}"
    );
    assert!(reply.head.contains("x-request-id: req-"), "{reply:?}");
    eventually("it is counted", || gate.counts("deepseek_gateway_completion_tokens_total 2"));
    assert!(gate.counts(r#"requests_total{code="200",ending="completed",route="chat_completions"} 1"#));
}

#[test]
fn an_id_that_the_client_chose_stays() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let reply = gate.send(&post_with("x-request-id: mine-7\r\n", ASK)).whole();
    assert!(reply.head.contains("x-request-id: mine-7"), "{reply:?}");
    assert!(engine.seen()[0].contains("x-request-id: mine-7"));
}

#[test]
fn an_engines_own_error_goes_through_as_it_is() {
    let engine = Engine::saying(json("400 Bad Request", r#"{"error":{"message":"too long"}}"#));
    let reply = Gate::before(&[&engine]).chat(ASK);
    assert_eq!((reply.status, reply.body.as_str()), (400, r#"{"error":{"message":"too long"}}"#));
}

#[test]
fn a_stream_goes_through_event_by_event() {
    let engine = Engine::with(vec![vec![
        Step::Send(stream_head()),
        Step::Send(chunk(&token("a"))),
        Step::Wait(Duration::from_millis(150)),
        Step::Send(chunk(&token("b"))),
        Step::Send(chunk("data: [DONE]\n\n")),
        Step::Send(end()),
    ]]);
    let gate = Gate::before(&[&engine]);
    let mut open = gate.send(&post(STREAM));
    let first = open.until("\"a\"");
    assert!(!first.contains("\"b\""), "what has come is not kept back");
    let reply = gate.chat(STREAM);
    assert_eq!(reply.body, format!("{}{}data: [DONE]\n\n", token("a"), token("b")));
    assert!(reply.complete);
}

#[test]
fn lines_to_engines_are_used_again() {
    let engine = Engine::saying(completion("hi"));
    let gate = Gate::before(&[&engine]);
    let keep = String::from_utf8(post(ASK)).unwrap().replace("connection: close\r\n", "");
    let mut open = gate.send(keep.repeat(3).as_bytes());
    let all = open.until("usage");
    drop(all);
    eventually("three requests", || engine.seen().len() == 3);
}

#[test]
fn running_answers_end_when_the_gateway_is_told_to_stop() {
    let engine = Engine::with(vec![vec![
        Step::Send(stream_head()),
        Step::Send(chunk(&token("a"))),
        Step::Wait(Duration::from_millis(300)),
        Step::Send(chunk("data: [DONE]\n\n")),
        Step::Send(end()),
    ]]);
    let mut gate = Gate::before(&[&engine]);
    let mut open = gate.send(&post(STREAM));
    open.until("\"a\"");
    gate.stop();
    let rest = open.until("[DONE]");
    assert!(rest.contains("[DONE]"));
    gate.ended();
}
