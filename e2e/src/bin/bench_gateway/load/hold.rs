//! Streams on which nothing happens, and which are then reset all at once.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mio::{Events, Poll};
use socket2::SockRef;

use super::wire::{Look, READ, Wire};
use super::{body, request};

/// Between two of them.
const STEP: Duration = Duration::from_millis(1);
/// Until all have begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says `ready` on standard output when all of them are there, `reset` when they are gone; each is answered by a line.
pub fn run(to: SocketAddr, streams: u32, kind: &str) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut wires = Vec::new();
    for at in 0..streams as usize {
        let mut wire = Wire::open(&poll, at, to, request(to, &body(at, kind, true, 0)))?;
        wire.ask()?;
        wires.push(wire);
        std::thread::sleep(STEP);
    }
    if kind == "begun" {
        all_begun(&mut poll, &mut wires)?;
    }
    println!("ready");
    said()?;
    for wire in &wires {
        // what is closed without lingering is reset
        SockRef::from(&wire.socket).set_linger(Some(Duration::ZERO))?;
    }
    drop(wires);
    println!("reset");
    said()
}

fn all_begun(poll: &mut Poll, wires: &mut [Wire]) -> Result<()> {
    let (mut events, mut buffer) = (Events::with_capacity(4096), vec![0; READ]);
    let (mut begun, until) = (vec![false; wires.len()], Instant::now() + PATIENCE);
    while begun.iter().any(|begun| !begun) {
        ensure!(Instant::now() < until, "not all streams have begun");
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let at = event.token().0;
            let look = wires[at].look(&mut buffer, |piece| begun[at] |= !piece.is_empty());
            ensure!(look == Look::Waits, "a stream ended");
        }
    }
    Ok(())
}

fn said() -> Result<()> {
    let read = std::io::stdin().read(&mut [0; 64])?;
    ensure!(read > 0, "nobody listens");
    Ok(())
}
