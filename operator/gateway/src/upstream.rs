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
    pub(crate) signal: Signal,
    told: String,
}

impl Lost {
    pub(crate) fn unreachable(error: &io::Error) -> Self {
        let timed_out = error.kind() == io::ErrorKind::TimedOut;
        let (why, signal) = if timed_out { ("connect_timeout", Signal::Soft) } else { ("refused", Signal::Hard) };
        Self { why, signal, told: error.to_string() }
    }

    pub(crate) fn reset(error: &impl Display) -> Self {
        Self { why: "reset", signal: Signal::Hard, told: error.to_string() }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        tracing::debug!(why = self.why, error = self.told, "replica lost");
        Refusal::upstream(StatusCode::BAD_GATEWAY, "engine_lost", "The engine did not answer. Send the request again.")
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
