//! Connections to engines.
//!
//! A line is driven by whoever holds it, inside that task: no second task is woken for a request, and a client that goes takes its
//! line along at once, so that the engine notices and stops. Idle lines wait in a pool of the worker, where nobody looks after them; one
//! that the engine has closed meanwhile is found out when it is taken.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;

use crate::health::Signal;
use crate::line::Line;
use crate::refusal::Refusal;

/// Engines close idle connections after five seconds (uvicorn and cpp-httplib both do unless told otherwise); a line that is about
/// to be closed is not taken.
const LONGEST_IDLE: Duration = Duration::from_secs(4);
/// Idle lines that are kept of one replica, by each worker.
const MOST_IDLE: usize = 256;
/// What hyper sends to an engine, where it does.
pub type Sent = Full<Bytes>;

/// A replica that could not be asked, or did not answer.
pub(crate) struct Lost {
    pub(crate) why: &'static str,
    pub(crate) signal: Option<Signal>,
    told: String,
}

impl Lost {
    pub(crate) fn unreachable(error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::TimedOut => "connect_timeout",
            io::ErrorKind::ConnectionRefused => "refused",
            _ => "unreachable",
        };
        Self { why, signal: signal(error), told: error.to_string() }
    }

    pub(crate) fn reset(error: &impl Display) -> Self {
        Self { why: "reset", signal: Some(Signal::Hard), told: error.to_string() }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        tracing::debug!(why = self.why, error = self.told, "replica lost");
        Refusal::upstream(StatusCode::BAD_GATEWAY, "engine_lost", "The engine did not answer. Send the request again.")
    }
}

/// What it says of a replica that no connection could be made; nothing when the cause is on this side, such as too many open files.
pub(crate) fn signal(error: &io::Error) -> Option<Signal> {
    match error.kind() {
        io::ErrorKind::TimedOut => Some(Signal::Soft),
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => Some(Signal::Hard),
        _ => None,
    }
}

/// Idle lines of one worker.
#[derive(Clone, Default)]
pub struct Pool(Rc<RefCell<HashMap<SocketAddr, Vec<Idle>>>>);

struct Idle {
    line: Line,
    since: Instant,
}

impl Pool {
    /// Takes an idle line to this address that still holds, the one that was used last.
    pub async fn take(&self, address: SocketAddr) -> Option<Line> {
        poll_fn(|cx| Poll::Ready(self.find(address, cx))).await
    }

    fn find(&self, address: SocketAddr, cx: &mut Context<'_>) -> Option<Line> {
        let mut lines = self.0.borrow_mut();
        let idle = lines.get_mut(&address)?;
        while let Some(Idle { mut line, since }) = idle.pop() {
            if since.elapsed() > LONGEST_IDLE {
                // all others are older
                idle.clear();
            } else if line.is_ready(cx) {
                return Some(line);
            }
        }
        None
    }

    /// Keeps a line whose answer has been read to its end.
    pub fn put(&self, line: Line, address: SocketAddr) {
        if !line.may_stay() {
            return;
        }
        let mut lines = self.0.borrow_mut();
        let idle = lines.entry(address).or_default();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { line, since: Instant::now() });
        }
    }

    /// Closes lines that nobody has used for a while.
    pub fn sweep(&self) {
        self.0.borrow_mut().retain(|_, idle| {
            idle.retain(|idle| idle.since.elapsed() <= LONGEST_IDLE);
            !idle.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_here_says_nothing_of_a_replica() {
        let of = |kind: io::ErrorKind| signal(&kind.into());
        assert_eq!(of(io::ErrorKind::ConnectionRefused), Some(Signal::Hard));
        assert_eq!(of(io::ErrorKind::TimedOut), Some(Signal::Soft));
        let too_many_open_files = io::Error::from_raw_os_error(24);
        assert_eq!(signal(&too_many_open_files), None);
        assert_eq!(of(io::ErrorKind::AddrNotAvailable), None);
    }
}
