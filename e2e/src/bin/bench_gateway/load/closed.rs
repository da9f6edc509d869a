//! As many requests as go.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::{Events, Poll};

use super::wire::{Look, READ, Wire};
use super::{Seen, Spread, body, number, request};

/// Until everybody has warmed up.
const WARM: Duration = Duration::from_millis(700);

pub fn run(to: SocketAddr, connections: usize, bytes: usize, span: Duration) -> Result<Seen> {
    let mut poll = Poll::new()?;
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; READ]);
    let open = |at| Wire::open(&poll, at, to, request(to, &body(at, "", false, bytes)));
    let mut wires = (0..connections).map(open).collect::<Result<Vec<_>>>()?;
    let mut asked = vec![Instant::now(); connections];
    for wire in &mut wires {
        wire.ask()?;
    }
    let (mut times, mut seen) = (Vec::with_capacity(1 << 20), Seen::default());
    let start = Instant::now() + WARM;
    loop {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let at = event.token().0;
            let wire = &mut wires[at];
            wire.push();
            match wire.look(&mut buffer, |_| {}) {
                Look::Waits => continue,
                Look::Complete => {
                    let now = Instant::now();
                    seen.all += 1.0;
                    if asked[at] >= start {
                        times.push((now - asked[at]).as_secs_f64());
                    }
                    asked[at] = now;
                }
                Look::Failed => {
                    seen.failed += 1.0;
                    *wire = Wire::open(&poll, at, to, request(to, &body(at, "", false, bytes)))?;
                }
            }
            wire.ask()?;
        }
        if start.elapsed() >= span || seen.failed > 1000.0 {
            break;
        }
    }
    seen.seconds = start.elapsed().as_secs_f64();
    seen.count = number(times.len());
    seen.times = Spread::of(times);
    Ok(seen)
}
