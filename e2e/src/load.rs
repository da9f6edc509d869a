//! A steady load on a Service, as clients make it: short questions and streams in turn, each on time whatever became of the others.
//!
//! An answer counts by what it says: a reason for its end and something said, never by its status alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::door::{Door, Stream, StreamEnd};

/// Longest time that a client waits for a whole answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// An answer that takes longer than this has met the fault.
pub const SLOW: Duration = Duration::from_secs(1);
/// Tokens of a short answer, and of a stream: little, on a machine that carries engines and everything else.
const TOKENS: [u32; 2] = [4, 40];
/// One request in so many is a long stream, so that some are under way whenever something breaks.
const LONG: (usize, u32) = (15, 1500);
/// Tokens of streams that are opened for a fault: seconds of them.
const FOR_A_FAULT: u32 = 4000;

/// A load that runs.
pub struct Load {
    start: Instant,
    door: Door,
    model: String,
    records: Records,
    driver: JoinHandle<()>,
}

type Records = Arc<Mutex<Vec<Record>>>;

/// One request.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was sent, after the start of the load.
    pub at: Duration,
    /// Until its end.
    pub took: Duration,
    /// A long stream: how long it takes says nothing about how long anybody waits.
    pub long: bool,
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
    /// A stream had begun, and broke off without one, for this reason.
    BrokeOff(String),
    /// It was not answered, for this reason.
    Lost(String),
}

impl Load {
    /// So many requests a second.
    pub fn start(door: &Door, model: &str, per_second: u32) -> Self {
        let (start, records) = (Instant::now(), Records::default());
        let (to, asked, kept) = (door.clone(), model.to_owned(), records.clone());
        let driver = tokio::spawn(async move {
            let mut due = interval(Duration::from_secs(1) / per_second.max(1));
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut under_way = JoinSet::new();
            for number in 0_usize.. {
                due.tick().await;
                while under_way.try_join_next().is_some() {}
                let (door, model, kept) = (to.clone(), asked.clone(), kept.clone());
                under_way.spawn(async move {
                    let at = Instant::now();
                    let outcome = ask(&door, &model, number).await;
                    let long = number.is_multiple_of(LONG.0);
                    put(&kept, Record { at: at - start, took: at.elapsed(), long, outcome });
                });
            }
        });
        Self { start, door: door.clone(), model: model.to_owned(), records, driver }
    }

    /// Opens so many long streams beside it, and returns when all have begun; what becomes of them counts with the rest.
    ///
    /// # Errors
    /// When one does not begin.
    pub async fn open_streams(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let (at, start, kept) = (Instant::now(), self.start, self.records.clone());
            let stream = self.door.stream(&self.model, FOR_A_FAULT).await?;
            tokio::spawn(async move {
                let outcome = end_of(stream, at + PATIENCE).await;
                put(&kept, Record { at: at - start, took: at.elapsed(), long: true, outcome });
            });
        }
        Ok(())
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

fn put(records: &Records, record: Record) {
    records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
}

async fn ask(door: &Door, model: &str, number: usize) -> Outcome {
    let (is_long, patience) = (number.is_multiple_of(LONG.0), Instant::now() + PATIENCE);
    let lost = |error: anyhow::Error| Outcome::Lost(format!("{error:#}"));
    let late = Outcome::Lost(format!("no answer within {} s", PATIENCE.as_secs()));
    if number.is_multiple_of(2) && !is_long {
        let answer = timeout_at(patience, door.chat(model, TOKENS[0])).await;
        return answer.map_or(late, |answer| answer.map_or_else(lost, |_| Outcome::Answered));
    }
    match timeout_at(patience, door.stream(model, if is_long { LONG.1 } else { TOKENS[1] })).await {
        Ok(Ok(stream)) => end_of(stream, patience).await,
        Ok(Err(error)) => lost(error),
        Err(_) => late,
    }
}

async fn end_of(stream: Stream, patience: Instant) -> Outcome {
    match stream.outcome(patience.duration_since(Instant::now())).await {
        Ok(StreamEnd::Done(pieces)) if pieces > 0 => Outcome::Answered,
        Ok(StreamEnd::Done(_)) => Outcome::Lost("a stream without a word".to_owned()),
        Ok(StreamEnd::Told(_)) => Outcome::CutAndTold,
        Err(error) => Outcome::BrokeOff(format!("{error:#}")),
    }
}

/// What clients felt of a fault.
#[derive(Clone, Debug, Default)]
pub struct Felt {
    /// From the fault until the last request was sent that was not answered; zero when none was.
    pub gap: Duration,
    /// From the fault until the last request was sent that was not answered within [`SLOW`].
    pub disturbed: Duration,
    /// Requests that were not answered.
    pub lost: usize,
    /// Streams under way that ended with an error event.
    pub told: usize,
    /// Streams under way that broke off without one.
    pub untold: usize,
    /// The longest that anybody waited for an answer that came.
    pub longest: Duration,
    /// One of the reasons.
    pub example: Option<String>,
}

impl Felt {
    /// Requests without an answer and streams that broke off: whoever made them was left alone.
    pub fn left_alone(&self) -> usize {
        self.lost + self.untold
    }
}

/// What clients felt of a fault at this moment of the load.
///
/// # Errors
/// When requests were lost before it, which would show nothing.
pub fn felt(records: &[Record], fault: Duration) -> Result<Felt> {
    let before = records.iter().find(|record| record.at + record.took < fault && record.outcome != Outcome::Answered);
    ensure!(before.is_none(), "lost before the fault: {before:?}");
    let after: Vec<_> = records.iter().filter(|record| record.at + record.took >= fault).collect();
    let count = |is: fn(&Outcome) -> bool| after.iter().filter(|record| is(&record.outcome)).count();
    // whoever asks after the fault and gets half an answer has none
    let failed = |record: &&&&Record| match record.outcome {
        Outcome::Lost(_) => true,
        Outcome::BrokeOff(_) => record.at > fault,
        Outcome::Answered | Outcome::CutAndTold => false,
    };
    let waited = after.iter().filter(|record| record.outcome == Outcome::Answered && !record.long);
    let slow = |record: &Record| record.took > SLOW && !record.long;
    let disturbed = after.iter().filter(|record| record.outcome != Outcome::Answered || slow(record));
    let last = after.iter().filter(|record| failed(&record)).map(|record| record.at.saturating_sub(fault)).max();
    let example = after.iter().find_map(|record| match &record.outcome {
        Outcome::Lost(why) | Outcome::BrokeOff(why) => Some(why.clone()),
        Outcome::Answered | Outcome::CutAndTold => None,
    });
    Ok(Felt {
        gap: last.unwrap_or_default(),
        disturbed: disturbed.map(|record| record.at.saturating_sub(fault)).max().unwrap_or_default(),
        lost: count(|outcome| matches!(outcome, Outcome::Lost(_))),
        told: count(|outcome| *outcome == Outcome::CutAndTold),
        untold: count(|outcome| matches!(outcome, Outcome::BrokeOff(_))),
        longest: waited.map(|record| record.took).max().unwrap_or_default(),
        example,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: u64, took: u64, outcome: Outcome) -> Record {
        Record { at: Duration::from_millis(at), took: Duration::from_millis(took), long: false, outcome }
    }

    #[test]
    fn a_gap_ends_with_the_last_request_that_was_lost() {
        let lost = || Outcome::Lost("refused".to_owned());
        let records = [
            record(0, 50, Outcome::Answered),
            record(900, 500, Outcome::CutAndTold),
            record(1000, 50, lost()),
            record(940, 90, Outcome::BrokeOff("reset".to_owned())),
            record(1500, 700, Outcome::Answered),
            record(2000, 50, lost()),
            record(2100, 50, Outcome::Answered),
        ];
        let felt = felt(&records, Duration::from_millis(950)).unwrap();
        assert_eq!((felt.gap, felt.lost, felt.told, felt.untold), (Duration::from_millis(1050), 2, 1, 1));
        assert_eq!(felt.longest, Duration::from_millis(700));
        assert!(super::felt(&records, Duration::from_millis(1500)).is_err(), "that was before the fault");
    }
}
