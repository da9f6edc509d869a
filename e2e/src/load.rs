//! A steady load on a Service, as clients make it: short questions and streams in turn, each on time whatever became of the others.
//!
//! An answer counts by what it says: a reason for its end and something said, never by its status alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::door::{Door, StreamEnd};

/// Longest time that a client waits for a whole answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// An answer that takes longer than this has met the fault.
pub const SLOW: Duration = Duration::from_secs(1);
/// Tokens of a short answer, and of a stream: little, on a machine that carries engines and everything else.
const TOKENS: [u32; 2] = [4, 40];
/// One request in so many is a long stream, so that some are under way whenever something breaks.
const LONG: (usize, u32) = (15, 1500);

/// A load that runs.
pub struct Load {
    start: Instant,
    records: Arc<Mutex<Vec<Record>>>,
    driver: JoinHandle<()>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was sent, after the start of the load.
    pub at: Duration,
    /// Until its end.
    pub took: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered in full.
    Answered,
    /// A stream had begun, and was ended by an error event, so that the client knows.
    CutAndTold,
    /// It was not answered, for this reason.
    Lost(String),
}

impl Load {
    /// So many requests a second.
    pub fn start(door: &Door, model: &str, per_second: u32) -> Self {
        let (start, records) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let (door, model, kept) = (door.clone(), model.to_owned(), records.clone());
        let driver = tokio::spawn(async move {
            let mut due = interval(Duration::from_secs(1) / per_second.max(1));
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut under_way = JoinSet::new();
            for number in 0_usize.. {
                due.tick().await;
                while under_way.try_join_next().is_some() {}
                let (door, model, kept) = (door.clone(), model.clone(), kept.clone());
                under_way.spawn(async move {
                    let at = Instant::now();
                    let outcome = ask(&door, &model, number).await;
                    let record = Record { at: at - start, took: at.elapsed(), outcome };
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(record);
                });
            }
        });
        Self { start, records, driver }
    }

    /// Time since its start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Requests that were answered so far.
    pub fn answered(&self) -> usize {
        self.records().iter().filter(|record| record.outcome == Outcome::Answered).count()
    }

    fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it, after whatever was sent before a moment has had time to end; in the order in which they were sent.
    pub async fn end(self) -> Vec<Record> {
        let (until, deadline) = (self.now(), Instant::now() + PATIENCE);
        loop {
            let seen = self.records().iter().filter(|record| record.at <= until).count();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let after = self.records().iter().filter(|record| record.at <= until).count();
            if seen == after && self.records().iter().any(|record| record.at > until) || Instant::now() > deadline {
                break;
            }
        }
        self.driver.abort();
        let mut records: Vec<_> = self.records().into_iter().filter(|record| record.at <= until).collect();
        records.sort_by_key(|record| record.at);
        records
    }
}

async fn ask(door: &Door, model: &str, number: usize) -> Outcome {
    let asked = timeout(PATIENCE, async {
        let is_long = number.is_multiple_of(LONG.0);
        if number.is_multiple_of(2) && !is_long {
            return door.chat(model, TOKENS[0]).await.map(|_| Outcome::Answered);
        }
        let tokens = if is_long { LONG.1 } else { TOKENS[1] };
        Ok(match door.stream(model, tokens).await?.outcome(PATIENCE).await? {
            StreamEnd::Done(pieces) if pieces > 0 => Outcome::Answered,
            StreamEnd::Done(_) => Outcome::Lost("a stream without a word".to_owned()),
            StreamEnd::Told(_) => Outcome::CutAndTold,
        })
    });
    match asked.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Lost(format!("{error:#}")),
        Err(_) => Outcome::Lost(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What clients felt of a fault.
#[derive(Clone, Debug, Default)]
pub struct Felt {
    /// From the fault until the last request was sent that was not answered; zero when none was.
    pub gap: Duration,
    /// From the fault until the last request was sent that was not answered within [`SLOW`].
    pub disturbed: Duration,
    /// Requests sent after the fault that were not answered, or that were under way and not told of their end.
    pub lost: usize,
    /// Streams under way that ended with an error event.
    pub told: usize,
    /// The longest that anybody waited for an answer that came.
    pub longest: Duration,
    /// One of the reasons.
    pub example: Option<String>,
}

/// What clients felt of a fault at this moment of the load.
///
/// # Errors
/// When requests were lost before it, which would show nothing.
pub fn felt(records: &[Record], fault: Duration) -> Result<Felt> {
    let before = records.iter().find(|record| record.at + record.took < fault && record.outcome != Outcome::Answered);
    ensure!(before.is_none(), "lost before the fault: {before:?}");
    let after: Vec<_> = records.iter().filter(|record| record.at + record.took >= fault).collect();
    let is_lost = |record: &&&Record| matches!(record.outcome, Outcome::Lost(_));
    let last = after.iter().filter(is_lost).map(|record| record.at.saturating_sub(fault)).max();
    let disturbed = after.iter().filter(|record| record.outcome != Outcome::Answered || record.took > SLOW);
    let example = after.iter().find_map(|record| match &record.outcome {
        Outcome::Lost(why) => Some(why.clone()),
        _ => None,
    });
    Ok(Felt {
        gap: last.unwrap_or_default(),
        disturbed: disturbed.map(|record| record.at.saturating_sub(fault)).max().unwrap_or_default(),
        lost: after.iter().filter(is_lost).count(),
        told: after.iter().filter(|record| record.outcome == Outcome::CutAndTold).count(),
        longest: after.iter().filter(|r| r.outcome == Outcome::Answered).map(|r| r.took).max().unwrap_or_default(),
        example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: u64, took: u64, outcome: Outcome) -> Record {
        Record { at: Duration::from_millis(at), took: Duration::from_millis(took), outcome }
    }

    #[test]
    fn a_gap_ends_with_the_last_request_that_was_lost() {
        let lost = || Outcome::Lost("refused".to_owned());
        let records = [
            record(0, 50, Outcome::Answered),
            record(900, 500, Outcome::CutAndTold),
            record(1000, 50, lost()),
            record(1500, 700, Outcome::Answered),
            record(2000, 50, lost()),
            record(2100, 50, Outcome::Answered),
        ];
        let felt = felt(&records, Duration::from_millis(950)).unwrap();
        assert_eq!((felt.gap, felt.lost, felt.told), (Duration::from_millis(1050), 2, 1));
        assert_eq!(felt.longest, Duration::from_millis(700));
        assert!(super::felt(&records, Duration::from_millis(1500)).is_err(), "that was before the fault");
    }
}
