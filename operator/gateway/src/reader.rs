//! Clients that stop reading one stream of HTTP/2 while they read the others: the kernel sees nothing of it, for the connection lives.
//!
//! hyper asks for the next piece of an answer when the client has room for it. A stream whose last piece was handed over, and for
//! which nothing was asked since, waits for its reader.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

thread_local! {
    /// Whether the answer that was asked for a piece last had one; `None` when none was asked. A stream is polled on one thread from
    /// beginning to end.
    static HAD_ONE: Cell<Option<bool>> = const { Cell::new(None) };
}

/// An answer was asked for its next piece, and had one or not.
pub(crate) fn asked(had_one: bool) {
    HAD_ONE.set(Some(had_one));
}

/// Carries a stream to its end, or gives it up when its client has not read for so long.
pub(crate) async fn while_read(stream: impl Future<Output = ()>, limit: Duration) {
    let mut stream = pin!(stream);
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut unread_since = None;
    poll_fn(|cx| {
        HAD_ONE.set(None);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match HAD_ONE.take() {
            Some(true) => unread_since = Some(Instant::now()),
            Some(false) => unread_since = None,
            None => {}
        }
        let Some(since) = unread_since else { return Poll::Pending };
        if timer.deadline() != since + limit {
            timer.as_mut().reset(since + limit);
        }
        let given_up = timer.as_mut().poll(cx);
        if given_up.is_ready() {
            tracing::debug!("a client does not read what it asked for");
        }
        given_up
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Whether a stream that does this, and nothing after it, is given up, and when.
    async fn given_up(deeds: impl Future<Output = ()>) -> Option<u64> {
        let start = Instant::now();
        let stream = async {
            deeds.await;
            pending::<()>().await;
        };
        let ended = timeout(Duration::from_secs(1000), while_read(stream, LIMIT)).await;
        ended.ok().map(|()| start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_handed_a_piece_and_asks_for_no_more_is_given_up() {
        let handed = async || {
            sleep(Duration::from_secs(5)).await;
            asked(true);
        };
        assert_eq!(given_up(handed()).await, Some(65));
        let twice = async {
            handed().await;
            handed().await;
        };
        assert_eq!(given_up(twice).await, Some(70), "reading counts anew");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_engine_is_not() {
        assert_eq!(given_up(async {}).await, None, "there is no answer yet");
        let waits = async {
            asked(true);
            sleep(Duration::from_secs(5)).await;
            asked(false);
        };
        assert_eq!(given_up(waits).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_has_ended() {
        while_read(async { sleep(Duration::from_secs(3)).await }, LIMIT).await;
    }
}
