//! Waiting: nothing here sleeps in the hope that something has happened by then.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, timeout};

use crate::progress::say;

/// How often one looks. The API server is local, and a deadline of 10 s is asserted with this precision.
const PERIOD: Duration = Duration::from_millis(200);
/// After so much silence a person is told what is being waited for.
const TELL: Duration = Duration::from_secs(5);
/// Characters of what was seen that are shown meanwhile.
const GLIMPSE: usize = 300;
/// A single look takes no longer.
const LOOK: Duration = Duration::from_secs(20);

/// Looks until it succeeds. An error of `look` says what was seen instead; the last one becomes part of ours.
///
/// # Errors
/// When the limit is over; it says what was waited for and what was seen last.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let start = Instant::now();
    let mut told = start;
    loop {
        let seen = match timeout(LOOK, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer within {} s", LOOK.as_secs()),
        };
        if start.elapsed() >= limit {
            bail!("{what}: not within {} s; last seen: {seen}", limit.as_secs());
        }
        if told.elapsed() >= TELL {
            let glimpse: String = seen.chars().take(GLIMPSE).collect();
            say(format_args!("waiting for {what} ({:.0} s); seen: {glimpse}", start.elapsed().as_secs_f64()));
            told = Instant::now();
        }
        sleep(PERIOD).await;
    }
}

/// Looks again and again for a while; the first error ends it.
///
/// # Errors
/// What `look` found wrong.
pub async fn stays<F>(what: &str, how_long: Duration, mut look: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    say(format_args!("for {} s: {what}", how_long.as_secs()));
    let end = Instant::now() + how_long;
    while Instant::now() < end {
        look().await?;
        sleep(PERIOD * 5).await;
    }
    look().await
}
