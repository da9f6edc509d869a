//! One connection to an engine, in HTTP/1.1.
//!
//! Written for what stands between two sides and must cost neither: an answer is read into a buffer of the thread, of which pieces go
//! on without being copied, so that a line on which nothing happens holds no buffer at all. What is sent is a head and a body that
//! is there as a whole.
//!
//! # Guarantees
//! What cannot be understood breaks the line; a line carries another request only if the last answer has ended where it said.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderValue, Response, header};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::framing::{Framing, head};
use crate::socket::of_engine;

/// What is read at once at most.
const READ: usize = 16 << 10;
/// Room of the buffer that many reads share.
const SHARED: usize = 4 * READ;
/// Longest head of an answer.
const LONGEST_HEAD: usize = 64 << 10;

thread_local! {
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// A connection to an engine. It is driven by whoever holds it, inside that task.
pub struct Line {
    stream: TcpStream,
    /// What has come and belongs to nobody yet.
    come: BytesMut,
    framing: Framing,
    keeps: bool,
}

/// The line broke before the head of an answer was there.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Broke {
    error: io::Error,
    /// Nothing of an answer had come, so that the engine may have closed the line before it saw the request.
    pub unanswered: bool,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens, or nobody answers within the limit ([`io::ErrorKind::TimedOut`]).
    pub async fn open(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = timeout(limit, TcpStream::connect(address)).await.map_err(|_| ErrorKind::TimedOut)??;
        of_engine(&stream);
        Ok(Self { stream, come: BytesMut::new(), framing: Framing::Over, keeps: true })
    }

    /// Sends a request; returns when the head of the answer is there.
    ///
    /// # Errors
    /// When the line breaks.
    pub async fn send(&mut self, asked: &Parts, body: &Bytes) -> Result<Response<()>, Broke> {
        let mut rest = written(asked, body.len()).chain(body.clone());
        self.keeps = false;
        let answered = poll_fn(|cx| {
            // an engine may answer before it has read everything; what it says counts, also if it then hangs up
            let sent = self.poll_write(&mut rest, cx);
            match self.poll_head(cx) {
                Poll::Pending if matches!(sent, Poll::Ready(Err(_))) => {
                    sent.map(|sent| sent.map(|()| Response::new(())))
                }
                answered => answered,
            }
        });
        match answered.await {
            Ok(answer) => {
                self.keeps &= !rest.has_remaining();
                Ok(answer)
            }
            Err(error) => Err(Broke { unanswered: self.come.is_empty(), error }),
        }
    }

    fn poll_write(&mut self, rest: &mut impl Buf, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while rest.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = rest.chunks_vectored(&mut slices);
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            rest.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Response<()>>> {
        loop {
            if let Some(head) = head(&mut self.come)? {
                (self.framing, self.keeps) = (head.framing, head.keeps);
                return Poll::Ready(Ok(head.answer));
            }
            if self.come.len() > LONGEST_HEAD {
                return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "the head is too long")));
            }
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// The next piece of the answer; `None` at its end.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(piece) = self.framing.take(&mut self.come).transpose() {
                return Poll::Ready(Some(piece));
            }
            if self.framing.is_over() {
                return Poll::Ready(None);
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.framing.ends_with_the_line() => self.framing = Framing::Over,
                Ok(0) => return Poll::Ready(Some(Err(ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Whether the whole answer has been taken.
    pub fn is_over(&self) -> bool {
        self.framing.is_over()
    }

    /// Whether it could carry another request when its answer was over.
    pub(crate) fn may_stay(&self) -> bool {
        self.keeps && self.framing.is_over() && self.come.is_empty()
    }

    /// Whether it can carry another request now: the engine has neither closed it nor said anything unasked.
    pub(crate) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.may_stay() && self.poll_read(cx).is_pending()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|buffer| {
            // what has been used up and is not needed any more is used again
            if buffer.capacity() == 0 {
                *buffer = BytesMut::with_capacity(SHARED);
            } else {
                buffer.reserve(READ);
            }
            if self.come.is_empty() {
                // even nothing would keep the buffer that it was a part of
                self.come = BytesMut::new();
            }
            let read = ready!(pin!(self.stream.read_buf(buffer)).poll(cx))?;
            let piece = buffer.split();
            if self.come.is_empty() {
                self.come = piece;
            } else {
                self.come.unsplit(piece);
            }
            Poll::Ready(Ok(read))
        })
    }
}

/// The head of a request with a body of this length.
fn written(asked: &Parts, length: usize) -> Bytes {
    let path = asked.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut head = Vec::with_capacity(512);
    for part in [asked.method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    let mut line = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    for (name, value) in asked.headers.iter().filter(|(name, _)| **name != header::CONTENT_LENGTH) {
        line(name.as_str(), value.as_bytes());
    }
    if let Some(authority) = asked.uri.authority().filter(|_| !asked.headers.contains_key(header::HOST)) {
        line("host", authority.as_str().as_bytes());
    }
    if length > 0 || asked.method == http::Method::POST {
        line("content-length", HeaderValue::from(length).as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}
