//! An answer that takes long to begin: its client gets comments meanwhile, so that nothing between them takes the line for dead.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use http::{Response, StatusCode};
use tokio::time::{Instant, Sleep, sleep};

use crate::answer::{Answer, Broken};
use crate::refusal::Refusal;

/// A comment, which clients of event streams skip.
const COMMENT: &[u8] = b": waiting\n\n";

/// What the answer is the end of; a refusal comes with the request's id.
pub type Work = LocalBoxFuture<'static, Result<Response<Answer>, (Refusal, String)>>;

/// An answer that has not begun: the client has its head already.
pub struct Wait {
    /// Let go of when it is done: it is as large as everything that a request needs.
    work: Option<Work>,
    every: Duration,
    timer: Pin<Box<Sleep>>,
    begun: Option<Answer>,
}

impl Wait {
    /// Waits for this answer; a comment goes out at once and then each time.
    pub fn new(work: Work, every: Duration) -> Self {
        Self { work: Some(work), every, timer: Box::pin(sleep(Duration::ZERO)), begun: None }
    }

    /// The next piece.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if let Some(begun) = &mut self.begun {
            return begun.poll_data(cx);
        }
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let Poll::Ready(answer) = work.as_mut().poll(cx) else { return self.poll_comment(cx) };
        self.work = None;
        // it is too late for a status: what would have been one becomes the last event
        let (refusal, id) = match answer {
            Ok(answer) if answer.status() == StatusCode::OK => {
                return self.begun.insert(answer.into_body()).poll_data(cx);
            }
            Ok(answer) => {
                let message = format!("The engine answered with HTTP {}.", answer.status().as_u16());
                (Refusal::upstream(StatusCode::BAD_GATEWAY, "engine_error", message), String::new())
            }
            Err(refused) => refused,
        };
        Poll::Ready(Some(Ok(refusal.event(&id, 0).into())))
    }

    fn poll_comment(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        ready!(self.timer.as_mut().poll(cx));
        self.timer.as_mut().reset(Instant::now() + self.every);
        // asks for the next comment
        let _ = self.timer.as_mut().poll(cx);
        Poll::Ready(Some(Ok(Bytes::from_static(COMMENT))))
    }
}
