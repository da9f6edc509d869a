//! Requests at fixed times, whether or not the last ones have been answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::{Events, Poll, Token, Waker};

use super::wire::{Look, READ, Wire};
use super::{Seen, Spread, body, number, request};

/// Connections over which they go, each in its turn.
const CONNECTIONS: usize = 64;
const WARM: Duration = Duration::from_millis(500);
/// The longest wait for the last answers.
const LAST: Duration = Duration::from_secs(5);

pub fn run(to: SocketAddr, rate: u32, span: Duration) -> Result<Seen> {
    let mut poll = Poll::new()?;
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; READ]);
    let open = |at| Wire::open(&poll, at, to, request(to, &body(at, "", false, 0)));
    let mut wires = (0..CONNECTIONS).map(open).collect::<Result<Vec<_>>>()?;
    let mut asked = vec![Instant::now(); CONNECTIONS];
    let mut free: VecDeque<usize> = (0..CONNECTIONS).collect();
    let due = Arc::new(AtomicU32::new(0));
    let begin = Instant::now();
    let end = begin + WARM + span;
    clock(due.clone(), Waker::new(poll.registry(), Token(CONNECTIONS))?, rate, begin, end);
    let (mut times, mut seen) = (Vec::new(), Seen::default());
    // those that found no free connection are asked as soon as there is one
    while Instant::now() < end || (free.len() < CONNECTIONS && Instant::now() < end + LAST) {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in events.iter().filter(|event| event.token().0 < CONNECTIONS) {
            let at = event.token().0;
            match wires[at].look(&mut buffer, |_| {}) {
                Look::Waits => continue,
                Look::Complete => {
                    seen.all += 1.0;
                    if asked[at] >= begin + WARM {
                        times.push(asked[at].elapsed().as_secs_f64());
                    }
                }
                Look::Failed => {
                    seen.failed += 1.0;
                    wires[at] = Wire::open(&poll, at, to, request(to, &body(at, "", false, 0)))?;
                }
            }
            free.push_back(at);
        }
        while due.load(Ordering::Acquire) > 0 {
            let Some(at) = free.pop_front() else { break };
            due.fetch_sub(1, Ordering::AcqRel);
            asked[at] = Instant::now();
            wires[at].ask()?;
        }
    }
    seen.failed += number(CONNECTIONS - free.len());
    (seen.count, seen.seconds) = (number(times.len()), span.as_secs_f64());
    seen.times = Spread::of(times);
    Ok(seen)
}

/// A thread that tells when a request is due: the poll by itself knows whole milliseconds only.
fn clock(due: Arc<AtomicU32>, waker: Waker, rate: u32, begin: Instant, end: Instant) {
    std::thread::spawn(move || {
        for nth in 1_u32.. {
            let at = begin + Duration::from_secs(1) * nth / rate;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if at >= end {
                return;
            }
            due.fetch_add(1, Ordering::AcqRel);
            // one that cannot be woken now looks by itself soon
            let _ = waker.wake();
        }
    });
}
