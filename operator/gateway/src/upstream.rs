//! Connections to engines.
//!
//! A line is driven by whoever holds it, inside that task: no second task is woken for a request, and a client that goes takes its
//! line along at once, so that the engine notices and stops. Idle lines wait in a pool of the worker, where nobody looks after them; one
//! that the engine has closed meanwhile is found out when it is taken.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::health::Signal;
use crate::refusal::Refusal;

/// Engines close idle connections after five seconds (uvicorn and cpp-httplib both do unless told otherwise); a line that is about
/// to be closed is not taken.
const LONGEST_IDLE: Duration = Duration::from_secs(4);
/// Idle lines that are kept of one replica, by each worker.
const MOST_IDLE: usize = 256;
/// What is read of an answer at once.
const READ: usize = 16 << 10;

/// What is sent to an engine.
pub type Sent = Full<Bytes>;

/// A connection to an engine.
pub struct Line {
    sender: SendRequest<Sent>,
    driver: Connection<TokioIo<TcpStream>, Sent>,
    over: bool,
    used: bool,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens, or nobody answers within the limit ([`io::ErrorKind::TimedOut`]).
    pub async fn open(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = timeout(limit, TcpStream::connect(address)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        stream.set_nodelay(true)?;
        let mut builder = Builder::new();
        builder.read_buf_exact_size(Some(READ));
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { sender, driver, over: false, used: false })
    }

    /// Whether it has carried a request before: an engine may close such a line at any moment, which is no failure of its own.
    pub fn was_used(&self) -> bool {
        self.used
    }

    /// Sends a request; returns when the head of the answer is there.
    ///
    /// # Errors
    /// When the line breaks.
    pub async fn send(&mut self, request: Request<Sent>) -> hyper::Result<Response<Incoming>> {
        let mut answer = pin!(self.sender.send_request(request));
        let (driver, over) = (&mut self.driver, &mut self.over);
        let answer = poll_fn(|cx| {
            drive(driver, over, cx);
            answer.as_mut().poll(cx)
        })
        .await;
        self.used = true;
        answer
    }

    /// The next frame of the answer that this line carries.
    pub fn poll_frame(
        &mut self,
        answer: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        // the answer says first that it wants more; the line then reads it
        match Pin::new(&mut *answer).poll_frame(cx) {
            Poll::Pending => {
                drive(&mut self.driver, &mut self.over, cx);
                Pin::new(answer).poll_frame(cx)
            }
            ready @ Poll::Ready(_) => ready,
        }
    }

    /// Whether it could carry another request.
    fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        drive(&mut self.driver, &mut self.over, cx);
        !self.over && self.sender.is_ready()
    }
}

fn drive(driver: &mut Connection<TokioIo<TcpStream>, Sent>, over: &mut bool, cx: &mut Context<'_>) {
    if !*over {
        *over = Pin::new(driver).poll(cx).is_ready();
    }
}

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

    pub(crate) fn reset(error: &hyper::Error) -> Self {
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
    pub fn put(&self, mut line: Line, address: SocketAddr, cx: &mut Context<'_>) {
        if !line.is_ready(cx) {
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
