//! The body of an answer on its way to the client.
//!
//! Bytes go on as they come. A stream of events that breaks off ends with an error event and a clean close; any other answer that breaks
//! off is cut, so that nobody takes half of it for the whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::account::{Account, Ending};
use crate::events::Events;
use crate::health::Signal;
use crate::line::Line;
use crate::reader;
use crate::refusal::Refusal;
use crate::replica::Place;
use crate::said::Said;
use crate::upstream::Pool;
use crate::wait::Wait;

/// Longest answer without events in which the usage is looked for.
const LOOKED_THROUGH: usize = 256 << 10;

/// The body of an answer.
pub enum Answer {
    /// The gateway's own.
    Own(Option<Bytes>),
    /// An engine's.
    Relayed(Box<Relay>),
    /// An engine's that has not begun yet; the client gets comments meanwhile.
    Awaited(Box<Wait>),
}

/// The answer broke off.
#[derive(Debug, thiserror::Error)]
#[error("the engine broke off its answer: {0}")]
pub struct Broken(pub(crate) String);

/// An answer that comes from an engine.
pub struct Relay {
    line: Option<Line>,
    pool: Pool,
    place: Option<Place>,
    /// What was read before it was decided to pass the answer on.
    held: Option<Bytes>,
    content: Content,
    account: Account,
    silence: Duration,
    heard: Instant,
    timer: Pin<Box<Sleep>>,
    over: bool,
}

enum Content {
    /// Events, which go on whole.
    Events(Events),
    /// Anything else, of which so many bytes have come.
    Other(usize),
}

impl Content {
    fn take(&mut self, piece: Bytes, said: &mut Said) -> Bytes {
        match self {
            Self::Events(events) => events.take(piece, said),
            Self::Other(looked) => {
                *looked += piece.len();
                if *looked <= LOOKED_THROUGH {
                    said.note(&piece);
                }
                piece
            }
        }
    }
}

impl Relay {
    /// The answer with this head, whose body is still to come.
    pub fn new(events: bool, line: Line, pool: Pool, place: Place, account: Account, silence: Duration) -> Self {
        let content = if events { Content::Events(Events::default()) } else { Content::Other(0) };
        let heard = Instant::now();
        let timer = Box::pin(sleep_until(heard + silence));
        Self {
            line: Some(line),
            pool,
            place: Some(place),
            held: None,
            content,
            account,
            silence,
            heard,
            timer,
            over: false,
        }
    }

    /// The account of the request, if the answer is not used after all.
    pub fn into_account(self) -> Account {
        self.account
    }

    /// What was said so far.
    pub fn said(&self) -> &Said {
        &self.account.said
    }

    /// Reads one more piece before anything is passed on; false at the end of the answer.
    ///
    /// # Errors
    /// When the engine breaks off.
    pub async fn read_ahead(&mut self) -> Result<bool, Broken> {
        let Some(piece) = std::future::poll_fn(|cx| self.poll_piece(cx)).await.transpose()? else { return Ok(false) };
        self.held = Some(match self.held.take() {
            Some(before) => [before, piece].concat().into(),
            None => piece,
        });
        Ok(true)
    }

    /// Bytes that were read ahead.
    pub fn held(&self) -> usize {
        self.held.as_ref().map_or(0, Bytes::len)
    }

    /// The next piece that may go on.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            let Some(line) = &mut self.line else { return Poll::Ready(None) };
            match line.poll_piece(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    let over = line.is_over();
                    self.heard = Instant::now();
                    self.account.heard(self.heard.into_std());
                    if let Some(place) = &self.place {
                        place.replica.heard();
                    }
                    let piece = self.content.take(piece, &mut self.account.said);
                    // of a known length nobody asks for the end
                    if over && matches!(self.content, Content::Other(_)) {
                        self.ended();
                    }
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.line = None;
                    return Poll::Ready(Some(Err(Broken(error.to_string()))));
                }
                Poll::Ready(None) => {
                    self.ended();
                    let rest =
                        if let Content::Events(events) = &mut self.content { events.rest() } else { Bytes::new() };
                    return Poll::Ready((!rest.is_empty()).then_some(Ok(rest)));
                }
                Poll::Pending => {
                    ready!(self.poll_silence(cx));
                    self.line = None;
                    return Poll::Ready(Some(Err(Broken(format!("nothing came for {} s", self.silence.as_secs())))));
                }
            }
        }
    }

    /// The whole answer is there: its place is free, its line may carry another.
    fn ended(&mut self) {
        if let (Some(line), Some(place)) = (self.line.take(), self.place.take()) {
            self.pool.put(line, place.replica.address);
        }
    }

    /// Ready when the engine has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let until = self.heard + self.silence;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if let Some(held) = self.held.take() {
            self.complete_if_ended();
            return Poll::Ready(Some(Ok(held)));
        }
        if self.over {
            return Poll::Ready(None);
        }
        match ready!(self.poll_piece(cx)) {
            Some(Ok(piece)) => {
                self.complete_if_ended();
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(broken)) => {
                self.over = true;
                Poll::Ready(Some(self.broke_off(broken)))
            }
            None => {
                self.complete_if_ended();
                Poll::Ready(None)
            }
        }
    }

    /// Nothing comes after this piece.
    fn complete_if_ended(&mut self) {
        if self.line.is_none() {
            self.over = true;
            self.account.close(Ending::Completed);
        }
    }

    fn broke_off(&mut self, broken: Broken) -> Result<Bytes, Broken> {
        if let Some(place) = self.place.take() {
            place.replica.note(Signal::Hard);
        }
        tracing::warn!(request_id = self.account.id, replica = self.account.replica, %broken, "answer cut");
        self.account.close(Ending::Lost);
        match &self.content {
            Content::Events(_) => Ok(lost().event(&self.account.id, self.account.said.pieces).into()),
            Content::Other(..) => Err(broken),
        }
    }
}

fn lost() -> Refusal {
    Refusal::upstream(
        StatusCode::BAD_GATEWAY,
        "engine_lost",
        "The engine stopped in the middle of its answer. Send the request again.",
    )
}

impl Answer {
    /// A text of the gateway's own.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::Own(Some(text.into()))
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        match self {
            Self::Own(text) => Poll::Ready(text.take().map(Ok)),
            Self::Relayed(relay) => relay.poll_body(cx),
            Self::Awaited(wait) => wait.poll_body(cx),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let piece = self.poll_data(cx);
        reader::asked(piece.is_ready());
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Own(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Relayed(_) | Self::Awaited(_) => SizeHint::default(),
        }
    }
}
