//! Streams of tokens, each of which says when it was written.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use memchr::memmem;
use mio::{Events, Poll};

use super::wire::{Look, READ, Wire};
use super::{Seen, Spread, body, number, request};
use crate::clock::{nanoseconds, seconds};

/// The streams are opened over this time.
const OPENING: Duration = Duration::from_secs(2);
/// Longer than the streams by this, and something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);
const KEY: &[u8] = b"\"content\":";
/// Digits of a token.
const DIGITS: usize = 20;

/// One stream.
#[derive(Default)]
struct Stream {
    asked: u64,
    last: Option<u64>,
    /// What may be the beginning of a token.
    tail: Vec<u8>,
    begun: bool,
    over: bool,
}

pub fn run(to: SocketAddr, streams: u32, every: u32, tokens: u32) -> Result<Seen> {
    let mut poll = Poll::new()?;
    let (mut events, mut buffer) = (Events::with_capacity(4096), vec![0; READ]);
    let wish = format!("stream:{every}:{tokens}");
    let (mut wires, mut all) = (Vec::new(), Vec::new());
    for at in 0..streams as usize {
        wires.push(Wire::open(&poll, at, to, request(to, &body(at, &wish, true, 0)))?);
        all.push(Stream::default());
    }
    let begin = Instant::now();
    // all of them run from the end of the opening until the first of them ends
    let (from, until) = (begin + OPENING, begin + Duration::from_micros(every.into()) * tokens);
    let end = until + OPENING + PATIENCE;
    let mut tally = Tally::new(Duration::from_micros(every.into()).as_secs_f64());
    let (mut opened, mut over) = (0, 0);
    while over < wires.len() && Instant::now() < end {
        poll.poll(&mut events, Some(Duration::from_millis(1)))?;
        let now = Instant::now();
        tally.counts = from <= now && now < until;
        for event in &events {
            let at = event.token().0;
            if all[at].asked == 0 || all[at].over {
                continue;
            }
            let stream = &mut all[at];
            match wires[at].look(&mut buffer, |piece| stream.take(piece, &mut tally)) {
                Look::Waits => continue,
                Look::Complete => {}
                Look::Failed => tally.failed += 1.0,
            }
            (stream.over, over) = (true, over + 1);
        }
        while opened < wires.len() && now >= begin + OPENING * u32::try_from(opened)? / streams {
            all[opened].asked = nanoseconds();
            wires[opened].ask()?;
            opened += 1;
        }
    }
    let unfinished = number(wires.len() - over);
    let mut seen = tally.seen((until - from).as_secs_f64());
    seen.failed += unfinished;
    Ok(seen)
}

impl Stream {
    fn take(&mut self, piece: &[u8], tally: &mut Tally) {
        let joined = [&self.tail, piece].concat();
        let mut rest = &joined[..];
        while let Some((written, behind)) = token(rest) {
            rest = behind;
            self.note(written, tally);
        }
        // the beginning of a token is shorter than this
        let keep = rest.len().min(KEY.len() + DIGITS + 2);
        self.tail = rest[rest.len() - keep..].to_vec();
    }

    fn note(&mut self, written: u64, tally: &mut Tally) {
        let now = nanoseconds();
        if !self.begun {
            self.begun = true;
            tally.first.push(seconds(self.asked, now));
        }
        tally.all += 1.0;
        if let Some(last) = self.last.replace(now).filter(|_| tally.counts) {
            tally.times.push(seconds(written, now));
            tally.jitter.push((seconds(last, now) - tally.every).abs());
        }
    }
}

/// The next token, and what follows it.
fn token(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = text;
    loop {
        let at = memmem::find(rest, KEY)? + KEY.len();
        rest = rest[at..].trim_ascii_start();
        let digits = rest.strip_prefix(b"\"").and_then(|text| text.get(..DIGITS));
        let written = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if let Some(written) = written {
            return Some((written, &rest[DIGITS + 1..]));
        }
        // the first event of a stream is empty; at the end of the text the digits may be still to come
        digits?;
    }
}

/// What is measured over all streams.
struct Tally {
    every: f64,
    counts: bool,
    all: f64,
    failed: f64,
    times: Vec<f64>,
    jitter: Vec<f64>,
    first: Vec<f64>,
}

impl Tally {
    fn new(every: f64) -> Self {
        let (times, jitter, first) = (Vec::new(), Vec::new(), Vec::new());
        Self { every, counts: false, all: 0.0, failed: 0.0, times, jitter, first }
    }

    fn seen(self, seconds: f64) -> Seen {
        Seen {
            count: number(self.times.len()),
            seconds,
            all: self.all,
            failed: self.failed,
            times: Spread::of(self.times),
            jitter: Spread::of(self.jitter),
            first: Spread::of(self.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_however_they_are_cut() {
        let text = b"data: {\"content\":\"\"}\n\ndata: {\"content\":\"00000000000000000007\"}\n\n\
            data: {\"content\": \"00000000000000000008\"}\n\n";
        for cut in 0..text.len() {
            let (mut stream, mut tally) = (Stream::default(), Tally::new(0.05));
            stream.take(&text[..cut], &mut tally);
            stream.take(&text[cut..], &mut tally);
            assert!((tally.all - 2.0).abs() < 0.1, "{cut}: {}", tally.all);
        }
    }
}
