//! The fake engines: all of them in one process, on one thread, so that they take as little as possible of the core that they share
//! with the client.
//!
//! What is wanted of them stands in the request's `user`, which every proxy passes on:
//!
//! | `user` | The engine |
//! |---|---|
//! | none | answers at once |
//! | `stream:E:N` | streams N tokens, one each E microseconds; each is the nanosecond at which it was written |
//! | `begun` | streams one token, and then nothing |
//! | `prefill` | never answers |
//! | `turn:D` | answers after D milliseconds whether it has seen the conversation before (`prefix.rs`) |
//!
//! `GET /held` tells how many requests wait or stream, over all engines.

mod prefix;
mod words;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use self::prefix::Prefixes;
use crate::arrival::Arrival;

/// More than a proxy sends at once of anything but a long prompt.
const READ: usize = 256 << 10;

/// One connection.
struct Line {
    socket: TcpStream,
    engine: usize,
    arrival: Arrival,
    /// What the socket had no room for.
    left: Vec<u8>,
    task: Task,
    /// Tells this connection from others that had its place.
    serial: u64,
}

enum Task {
    None,
    Held,
    Stream { left: u32, every: Duration },
    Turn { answer: Vec<u8> },
}

struct Engines {
    poll: Poll,
    listeners: Vec<TcpListener>,
    prefixes: Vec<Prefixes>,
    lines: Vec<Option<Line>>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    serial: u64,
    buffer: Vec<u8>,
}

/// Serves until it is killed. `cache` is the number of conversations that an engine remembers.
///
/// # Errors
/// When an address cannot be listened on.
pub fn run(addresses: &[SocketAddr], cache: usize) -> Result<()> {
    let poll = Poll::new()?;
    let mut listeners = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let mut listener = TcpListener::bind(*address)?;
        poll.registry().register(&mut listener, Token(at), Interest::READABLE)?;
        listeners.push(listener);
    }
    let prefixes = addresses.iter().map(|_| Prefixes::new(cache)).collect();
    let (lines, free, due, buffer) = (Vec::new(), Vec::new(), BinaryHeap::new(), vec![0; READ]);
    Engines { poll, listeners, prefixes, lines, free, due, serial: 0, buffer }.serve()
}

impl Engines {
    fn serve(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(4096);
        loop {
            let wait = self.due.peek().map(|Reverse((at, ..))| at.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                let Token(at) = event.token();
                match at.checked_sub(self.listeners.len()) {
                    None => self.accept(at)?,
                    Some(at) => self.attend(at, event.is_writable()),
                }
            }
            self.work();
        }
    }

    fn accept(&mut self, engine: usize) -> Result<()> {
        while let Ok((mut socket, _)) = self.listeners[engine].accept() {
            socket.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.lines.push(None);
                self.lines.len() - 1
            });
            let token = Token(at + self.listeners.len());
            self.poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            self.serial += 1;
            let (arrival, left, task, serial) = (Arrival::default(), Vec::new(), Task::None, self.serial);
            self.lines[at] = Some(Line { socket, engine, arrival, left, task, serial });
        }
        Ok(())
    }

    fn attend(&mut self, at: usize, writable: bool) {
        if writable {
            self.write(at, &[]);
        }
        loop {
            let Some(Some(line)) = self.lines.get_mut(at) else { return };
            match line.socket.read(&mut self.buffer) {
                Ok(0) => return self.close(at),
                Ok(n) => {
                    let complete = line.arrival.take(&self.buffer[..n]);
                    if let Some(request) = complete {
                        self.answer(at, &request);
                    }
                    // a short read has emptied the socket; more of it comes with the next event
                    if n < READ {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(at),
            }
        }
    }

    fn answer(&mut self, at: usize, request: &[u8]) {
        if request.starts_with(b"GET ") {
            let text = if request.starts_with(b"GET /held") { self.held().to_string() } else { words::MODELS.into() };
            return self.write(at, &words::answer(&text));
        }
        let wish = words::wish(request);
        let mut parts = wish.split(':');
        let (kind, mut numbers) = (parts.next(), parts.map(|part| part.parse::<u32>().unwrap_or(0)));
        let mut number = || numbers.next().unwrap_or(0);
        match kind {
            Some("stream") => {
                let every = Duration::from_micros(number().into());
                self.begin(at, Task::Stream { left: number(), every }, Duration::ZERO);
            }
            Some("begun") => self.begin(at, Task::Held, Duration::ZERO),
            Some("prefill") => self.hold(at),
            Some("turn") => {
                let delay = Duration::from_millis(number().into());
                let answer = self.turn(at, request);
                self.wait(at, Task::Turn { answer }, delay);
            }
            _ => self.write(at, words::PLAIN),
        }
    }

    /// The head of a stream, its role and its first token.
    fn begin(&mut self, at: usize, task: Task, wait: Duration) {
        let first = [words::STREAM, words::ROLE, &words::token()].concat();
        self.write(at, &first);
        match task {
            Task::Stream { every, .. } => self.wait(at, task, wait + every),
            _ => self.hold(at),
        }
    }

    fn hold(&mut self, at: usize) {
        if let Some(line) = &mut self.lines[at] {
            line.task = Task::Held;
        }
    }

    fn wait(&mut self, at: usize, task: Task, wait: Duration) {
        if let Some(line) = &mut self.lines[at] {
            line.task = task;
            self.due.push(Reverse((Instant::now() + wait, at, line.serial)));
        }
    }

    fn turn(&mut self, at: usize, request: &[u8]) -> Vec<u8> {
        let engine = self.lines[at].as_ref().map_or(0, |line| line.engine);
        let told = self.prefixes[engine].turn(words::body(request));
        words::answer(&told)
    }

    /// What is due now.
    fn work(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((due, at, serial))) = self.due.peek().copied() {
            if due > now {
                return;
            }
            self.due.pop();
            let Some(line) = self.lines[at].as_mut().filter(|line| line.serial == serial) else { continue };
            match std::mem::replace(&mut line.task, Task::None) {
                Task::Stream { left: 0 | 1, .. } => self.write(at, words::END),
                Task::Stream { left, every } => {
                    line.task = Task::Stream { left: left - 1, every };
                    self.due.push(Reverse((due + every, at, serial)));
                    self.write(at, &words::token());
                }
                Task::Turn { answer } => self.write(at, &answer),
                Task::None | Task::Held => {}
            }
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let Some(line) = &mut self.lines[at] else { return };
        if !line.left.is_empty() {
            line.left.extend_from_slice(bytes);
            let left = std::mem::take(&mut line.left);
            return self.push(at, &left);
        }
        if !bytes.is_empty() {
            self.push(at, bytes);
        }
    }

    fn push(&mut self, at: usize, bytes: &[u8]) {
        let Some(line) = &mut self.lines[at] else { return };
        match line.socket.write(bytes) {
            Ok(written) => line.left.extend_from_slice(&bytes[written..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => line.left.extend_from_slice(bytes),
            Err(_) => self.close(at),
        }
    }

    fn close(&mut self, at: usize) {
        if self.lines[at].take().is_some() {
            self.free.push(at);
        }
    }

    fn held(&self) -> usize {
        self.lines.iter().flatten().filter(|line| !matches!(line.task, Task::None)).count()
    }
}
