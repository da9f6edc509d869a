//! A client that goes takes its work along: within a second nothing of it is left at the engine, or in the queue.

use std::thread;
use std::time::{Duration, Instant};

use deepseek_core::gateway::{GatewayConfig, Limits};
use deepseek_gateway::keys::Keys;
use http_body_util::BodyExt;
use tokio::net::TcpStream;

use crate::client::{asking, http2, text};
use crate::engine::{Engine, Step, chunk, completion, stream_head, token};
use crate::gate::{ASK, Gate, STREAM, config, eventually, post};

/// With limits that nobody reaches here.
fn patient(engine: &Engine, places: u32) -> Gate {
    let limits = Limits { first_byte: 60_000, silence: 60_000, queue_time: 60_000, comment: 500, ..config().limits };
    Gate::with(GatewayConfig { limits, max_concurrent_sequences: places, ..config() }, Keys::default(), &[engine])
}

/// One that reads its prompt and says nothing, and one that has begun to speak.
fn engines() -> [Engine; 2] {
    let speaking = vec![Step::Send(stream_head()), Step::Send(chunk(&token("a"))), Step::UntilGone];
    [Engine::with(vec![vec![Step::UntilGone]]), Engine::with(vec![speaking])]
}

fn within_a_second(what: &str, so: impl FnMut() -> bool) {
    let start = Instant::now();
    eventually(what, so);
    assert!(start.elapsed() < Duration::from_secs(1), "{what}: {:?}", start.elapsed());
}

fn is_left_alone(gate: &Gate, engine: &Engine) {
    within_a_second("the engine is left alone", || engine.gone() == 1);
    within_a_second("its place is free", || gate.shared.scene().replicas[0].running() == 0);
    eventually("it is counted", || gate.counts("ending=\"cancelled\""));
}

#[test]
fn over_http_1() {
    for body in [ASK, STREAM] {
        for engine in engines() {
            let gate = patient(&engine, 1);
            let open = gate.send(&post(body));
            eventually("it is asked", || engine.seen().len() == 1);
            // some time into the answer, after the first comments of a stream
            thread::sleep(Duration::from_millis(700));
            drop(open);
            is_left_alone(&gate, &engine);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_where_only_the_stream_is_reset() {
    for body in [ASK, STREAM] {
        for engine in engines() {
            let gate = patient(&engine, 1);
            let stream = TcpStream::connect(gate.address).await.unwrap();
            let (mut sender, connection) = http2(stream).await;
            let answer = tokio::spawn(sender.send_request(asking(body)));
            eventually("it is asked", || engine.seen().len() == 1);
            thread::sleep(Duration::from_millis(700));
            if answer.is_finished() {
                drop(answer.await.unwrap());
            } else {
                answer.abort();
            }
            is_left_alone(&gate, &engine);
            assert!(!connection.is_finished(), "other streams of the connection go on");
        }
    }
}

#[test]
fn out_of_the_queue() {
    for body in [ASK, STREAM] {
        let engine = Engine::with(vec![vec![Step::UntilGone]]);
        let gate = patient(&engine, 1);
        let running = gate.send(&post(ASK));
        eventually("one runs", || gate.shared.scene().replicas[0].running() == 1);
        let waiting = gate.send(&post(body));
        eventually("one waits", || gate.shared.admission.waiting() == 1);
        thread::sleep(Duration::from_millis(700));
        drop(waiting);
        within_a_second("nobody waits", || gate.shared.admission.waiting() == 0);
        drop(running);
        is_left_alone(&gate, &engine);
        assert_eq!(engine.seen().len(), 1);
    }
}

/// More than all buffers on its way hold.
fn flood() -> Vec<Step> {
    let piece = chunk(&token(&"x".repeat(8 << 10)));
    std::iter::once(Step::Send(stream_head())).chain((0..4000).map(|_| Step::Send(piece.clone()))).collect()
}

#[test]
fn who_does_not_read_what_it_asked_for_is_given_up() {
    let engine = Engine::with(vec![flood()]);
    let limits = Limits { arrival: 500, silence: 60_000, ..config().limits };
    let gate = Gate::with(GatewayConfig { limits, ..config() }, Keys::default(), &[&engine]);
    let open = gate.send(&post(STREAM));
    eventually("it runs", || gate.shared.scene().replicas[0].running() == 1);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(gate.shared.scene().replicas[0].running(), 1, "there is more than the buffers hold");
    eventually("its place is free", || gate.shared.scene().replicas[0].running() == 0);
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_one_stream_of_http_2_loses_that_one() {
    let engine = Engine::with(vec![flood(), vec![Step::Send(completion("well"))]]);
    let limits = Limits { arrival: 500, silence: 60_000, ..config().limits };
    let gate = Gate::with(GatewayConfig { limits, ..config() }, Keys::default(), &[&engine]);
    let (mut sender, _connection) = http2(TcpStream::connect(gate.address).await.unwrap()).await;
    let unread = sender.send_request(asking(STREAM)).await.unwrap();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(gate.shared.scene().replicas[0].running(), 1, "there is more than the buffers hold");
    eventually("its place is free", || gate.shared.scene().replicas[0].running() == 0);
    eventually("it is counted", || gate.counts("ending=\"cancelled\""));
    let other = sender.send_request(asking(ASK)).await.unwrap();
    assert!(text(other).await.contains("well"), "the connection goes on");
    let end = unread.into_body().collect().await;
    assert!(end.is_err(), "half an answer is not taken for the whole");
}
