//! What a gateway tells of the load, second by second.

use std::io::Write;
use std::net::TcpStream;

use deepseek_core::demand::Demand;
use deepseek_core::gateway::{GatewayConfig, Limits};

use crate::engine::{Engine, Step, completion, json};
use crate::gate::{ASK, config, eventually, post};
use crate::starting::{Started, configure, options, send};

/// A gateway in front of one engine, ready, and the folder that it needs.
fn before(engine: &Engine, config: &GatewayConfig) -> (Started, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), engine);
    configure(&options.config, config);
    let gateway = Started::with(options);
    gateway.says("ok");
    eventually("its engine is up", || gateway.ask("/capacity").body.contains(r#""replicasUp":1"#));
    (gateway, folder)
}

fn told(gateway: &Started) -> Demand {
    let told: Demand = serde_json::from_str(&gateway.ask("/demand").body).unwrap();
    told.check().unwrap();
    told
}

fn all(series: &[u32]) -> u32 {
    series.iter().sum()
}

#[test]
fn requests_count_once_and_mistakes_not_at_all() {
    let mistake = json("400 Bad Request", r#"{"error":{"message":"too many messages"}}"#);
    let scripts = [completion("hi"), completion("hi"), mistake].map(|answer| vec![Step::Send(answer)]);
    let engine = Engine::seeming_well(scripts.into());
    let (gateway, _folder) = before(&engine, &config());
    let status = |request: &[u8]| send(gateway.listen, request).map(|reply| reply.status);
    eventually("it serves", || status(&post(ASK)) == Some(200));
    assert_eq!((status(&post(ASK)), status(&post(ASK))), (Some(200), Some(400)));
    assert_eq!(status(&post(&ASK.replace("\"chat\"", "\"none\""))), Some(404));
    assert_eq!(status(b"GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), Some(400), "the script's");
    eventually("both are told", || all(&told(&gateway).served) == 2);
    eventually("a second without requests is zero", || told(&gateway).arrivals.last() == Some(&0));
    let demand = told(&gateway);
    assert_eq!((all(&demand.arrivals), demand.in_flight.last(), all(&demand.tokens)), (2, Some(&0), 14));
    let short: Demand = serde_json::from_str(&gateway.ask("/demand?seconds=1").body).unwrap();
    assert_eq!((short.arrivals.len(), short.seconds >= demand.seconds), (1, true));
}

#[test]
fn who_is_turned_away_for_want_of_room_is_demand() {
    let engine = Engine::seeming_well(vec![vec![Step::UntilGone]]);
    let limits = Limits { queue: 1, queue_time: 60_000, ..config().limits };
    let config =
        GatewayConfig { max_concurrent_sequences: 1, limits: Limits { first_byte: 60_000, ..limits }, ..config() };
    let (gateway, _folder) = before(&engine, &config);
    eventually("it listens", || TcpStream::connect(gateway.listen).is_ok());
    let ask = || {
        let mut stream = TcpStream::connect(gateway.listen).unwrap();
        stream.write_all(&post(ASK)).unwrap();
        stream
    };
    let _runs = ask();
    eventually("it runs", || !engine.seen().is_empty());
    let asked = gateway.ask("/demand?seconds=0&wait=1");
    assert!(asked.body.contains(r#""waiting":0"#), "nobody came: {}", asked.body);
    let listener = std::thread::scope(|scope| {
        let listener = scope.spawn(|| gateway.ask("/demand?seconds=0&wait=30"));
        std::thread::sleep(std::time::Duration::from_millis(200));
        let waits = ask();
        (listener.join().unwrap(), waits)
    });
    let (told_at_once, _waits) = listener;
    let heard: Demand = serde_json::from_str(&told_at_once.body).unwrap();
    assert_eq!((heard.waiting, heard.arrivals.len()), (1, 0), "told as soon as somebody waits");
    eventually("one waits", || told(&gateway).queued.last() == Some(&1));
    let refused = send(gateway.listen, &post(ASK)).unwrap();
    assert_eq!(refused.status, 429);
    eventually("the one that was refused counts", || all(&told(&gateway).arrivals) == 3);
}
