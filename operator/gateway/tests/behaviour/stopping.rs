//! A gateway ends without losing anything.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use deepseek_core::gateway::{GatewayConfig, Limits};
use deepseek_gateway::keys::Keys;

use crate::client::{Kept, asking, http2, text};
use crate::engine::{Engine, Step, chunk, completion, end, stream_head, token};
use crate::gate::{ASK, Gate, STREAM, config, post};

/// With time for clients to be idle, and to end.
fn patient(engine: &Engine) -> Gate {
    let limits = Limits { arrival: 30_000, drain: 20_000, queue: 100, queue_time: 10_000, ..config().limits };
    let config = GatewayConfig { limits, max_concurrent_sequences: 64, ..config() };
    Gate::with(config, Keys::default(), &[engine])
}

#[test]
fn fifty_clients_move_to_the_next_gateway_and_lose_nothing() {
    let engine = Engine::saying(completion("hi"));
    let (mut old, new) = (patient(&engine), patient(&engine));
    let (done, moved, answered) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..50 {
            let (old, new, done, moved, answered) = (old.address, new.address, &done, &moved, &answered);
            scope.spawn(move || {
                let (mut address, mut kept) = (old, Kept::open(old).unwrap());
                while !done.load(Ordering::Relaxed) {
                    let piece = kept.ask().unwrap_or_else(|error| panic!("client {number} lost a request: {error}"));
                    assert!(piece.status == 200 && piece.body.contains("hi"), "{piece:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if piece.closing {
                        assert!(address == old, "the new one goes on");
                        address = new;
                        kept = Kept::open(address).unwrap();
                        moved.fetch_add(1, Ordering::Relaxed);
                    }
                    // some ask at once, some are idle for seconds
                    thread::sleep(Duration::from_millis(number * number));
                }
            });
        }
        thread::sleep(Duration::from_millis(500));
        old.stop();
        let late = Kept::open(old.address).unwrap().ask().unwrap();
        assert!(late.status == 200 && late.closing, "who comes late is served: {late:?}");
        old.ended();
        assert_eq!(moved.load(Ordering::Relaxed), 50);
        done.store(true, Ordering::Relaxed);
    });
    assert!(answered.load(Ordering::Relaxed) > 200);
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let engine = Engine::saying(completion("hi"));
    let mut gate = patient(&engine);
    let mut kept = Kept::open(gate.address).unwrap();
    kept.ask().unwrap();
    let start = Instant::now();
    gate.stop();
    gate.ended();
    assert!(kept.ends() && start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn what_runs_for_too_long_is_cut_after_the_drain_time() {
    let engine = Engine::with(vec![vec![Step::Send(stream_head()), Step::Send(chunk(&token("a"))), Step::UntilGone]]);
    let limits = Limits { silence: 60_000, drain: 1000, ..config().limits };
    let mut gate = Gate::with(GatewayConfig { limits, ..config() }, Keys::default(), &[&engine]);
    let mut open = gate.send(&post(STREAM));
    open.until("\"a\"");
    let start = Instant::now();
    gate.stop();
    gate.ended();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn http_2_is_told_to_go_away_and_finishes_what_runs() {
    let engine = Engine::with(vec![vec![
        Step::Send(stream_head()),
        Step::Send(chunk(&token("a"))),
        Step::Wait(Duration::from_millis(300)),
        Step::Send(chunk("data: [DONE]\n\n")),
        Step::Send(end()),
    ]]);
    let gate = patient(&engine);
    let stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
    let (mut sender, connection) = http2(stream).await;
    let answer = sender.send_request(asking(STREAM)).await.unwrap();
    gate.stop();
    assert!(text(answer).await.contains("[DONE]"));
    let ended = tokio::time::timeout(Duration::from_secs(3), connection).await;
    ended.expect("the gateway closes it").unwrap().unwrap();
    assert!(sender.send_request(asking(ASK)).await.is_err());
}
