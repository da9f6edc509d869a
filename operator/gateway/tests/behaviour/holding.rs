//! Nobody has asked for long, so that no replica runs; now somebody asks.

use std::time::{Duration, Instant};

use deepseek_core::gateway::{GatewayConfig, Hold};
use deepseek_gateway::health::Health;
use deepseek_gateway::keys::Keys;
use deepseek_gateway::scene::Found;

use crate::engine::{Engine, Step, completion};
use crate::gate::{ASK, Gate, Open, config, eventually, post};

/// Holds requests for two seconds, six times as long as it lets them wait otherwise.
fn holding() -> GatewayConfig {
    GatewayConfig { hold: Some(Hold { time: 2000, start: 90_000 }), ..config() }
}

#[test]
fn a_request_is_held_until_a_replica_is_there() {
    let engine = Engine::seeming_well(vec![vec![Step::Send(completion("hi"))]; 2]);
    let gate = Gate::at(holding(), Keys::default(), &[]);
    let start = Instant::now();
    let held = [gate.send(&post(ASK)), gate.send(&post(ASK))];
    eventually("both are held", || gate.shared.admission.waiting() == 2);
    std::thread::sleep(Duration::from_millis(800));
    let found = Found { name: "chat-0".into(), address: engine.address, leaving: false };
    gate.shared.replace(&[found], Health::trusted());
    for reply in held.map(Open::whole) {
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn who_is_held_in_vain_is_told_when_to_come_back() {
    let gate = Gate::at(holding(), Keys::default(), &[]);
    let start = Instant::now();
    let reply = gate.chat(ASK);
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(reply.status == 503 && reply.head.contains("retry-after: 90"), "{}", reply.head);
    assert!(reply.body.contains(r#""code":"starting""#) && reply.body.contains("about 90 s"), "{}", reply.body);
}

#[test]
fn no_more_are_held_than_may_wait() {
    let gate = Gate::at(holding(), Keys::default(), &[]);
    let held = [gate.send(&post(ASK)), gate.send(&post(ASK))];
    eventually("both are held", || gate.shared.admission.waiting() == 2);
    assert_eq!(gate.chat(ASK).status, 429);
    assert_eq!(held.map(|open| open.whole().status), [503, 503]);
}
