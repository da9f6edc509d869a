//! What a gateway tells of the load, second by second: what it answers to `/demand`, and what the operator reads of it.
//!
//! Counts of whole seconds, the newest last, the same number of each. Nothing is told of the second that still runs. Zero is told as
//! zero; what is not told is not known.

use serde::{Deserialize, Serialize};

/// Seconds that a gateway remembers: a new leader of the operator knows at once what has been.
pub const REMEMBERED: usize = 900;
/// Seconds that the operator asks for: the longest mean, and the trend (two means of two minutes, three minutes apart).
pub const ASKED: usize = 300;
/// More than this in one second is no count: no gateway takes a fifth of it.
const MOST: u32 = 1_000_000;

/// The load of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Seconds that the gateway has counted since it started: it grows by one a second, or the counts are old.
    pub seconds: u64,
    /// Requests that asked for capacity: once each, also those that were refused for want of it; not those that were the client's
    /// mistake.
    pub arrivals: Vec<u32>,
    /// Requests whose answer has ended well.
    pub served: Vec<u32>,
    /// Tokens of answers that have ended: read and made.
    pub tokens: Vec<u32>,
    /// Requests under way at the end of the second; those that wait for a replica are among them.
    pub in_flight: Vec<u32>,
    /// Requests that wait for a replica.
    pub queued: Vec<u32>,
    /// Requests that wait for one at this moment.
    #[serde(default)]
    pub waiting: u32,
}

impl Demand {
    /// Whether this can be what a gateway has counted.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let Self { seconds, arrivals, served, tokens: _, in_flight, queued, waiting } = self;
        let told = arrivals.len();
        if self.all().iter().any(|series| series.len() != told) {
            return Err("its lists are not of the same length".into());
        }
        if u64::try_from(told).is_ok_and(|told| told > *seconds) {
            return Err(format!("it tells of {told} s, and has counted {seconds} s"));
        }
        let counts = [arrivals, served, in_flight, queued].into_iter().flatten().chain([waiting]);
        match counts.max().filter(|most| **most > MOST) {
            Some(most) => Err(format!("it tells of {most} requests in a second")),
            None => Ok(()),
        }
    }

    fn all(&self) -> [&Vec<u32>; 5] {
        [&self.arrivals, &self.served, &self.tokens, &self.in_flight, &self.queued]
    }
}

/// The sum and the number of the counts of `window` seconds, the last of which was `ago` seconds before the last one.
fn within(series: &[u32], ago: usize, window: usize) -> (u64, usize) {
    let end = series.len().saturating_sub(ago);
    let counted = &series[end.saturating_sub(window)..end];
    (counted.iter().map(|count| u64::from(*count)).sum(), counted.len())
}

/// The mean of `window` seconds, in thousandths; of as many as there are, if they are fewer. `None` when there are none.
pub fn mean_milli(series: &[u32], ago: usize, window: usize) -> Option<u64> {
    let (sum, length) = within(series, ago, window);
    Some(sum.saturating_mul(1000) / u64::try_from(length).ok().filter(|length| *length > 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(arrivals: &[u32]) -> Demand {
        let zeros = vec![0; arrivals.len()];
        Demand {
            seconds: 1000,
            arrivals: arrivals.to_vec(),
            served: zeros.clone(),
            tokens: zeros.clone(),
            in_flight: zeros.clone(),
            queued: zeros,
            waiting: 0,
        }
    }

    #[test]
    fn a_mean_is_of_the_seconds_that_were_counted() {
        let series = [9, 9, 1, 2, 3];
        assert_eq!(mean_milli(&series, 0, 3), Some(2000));
        assert_eq!(mean_milli(&series, 3, 2), Some(9000));
        assert_eq!(mean_milli(&series, 3, 60), Some(9000), "of two seconds, if there are no more");
        assert_eq!(mean_milli(&series, 5, 60), None);
        assert_eq!(mean_milli(&[], 0, 15), None);
        assert_eq!(mean_milli(&[0; 15], 0, 15), Some(0), "zero is a number");
    }

    #[test]
    fn what_cannot_have_been_counted_is_refused() {
        assert_eq!(counted(&[1, 2]).check(), Ok(()));
        assert_eq!(Demand::default().check(), Ok(()), "of a gateway that has just started");
        let uneven = Demand { queued: vec![1], ..counted(&[1, 2]) };
        assert_eq!(uneven.check().unwrap_err(), "its lists are not of the same length");
        let early = Demand { seconds: 1, ..counted(&[1, 2]) };
        assert_eq!(early.check().unwrap_err(), "it tells of 2 s, and has counted 1 s");
        assert!(counted(&[2_000_000]).check().unwrap_err().contains("2000000 requests in a second"));
    }

    #[test]
    fn what_is_no_number_is_not_read() {
        for text in
            [r#"{"seconds":1,"arrivals":[NaN]}"#, r#"{"seconds":1,"arrivals":[-1]}"#, r#"{"seconds":1}"#, "1e9", ""]
        {
            assert!(serde_json::from_str::<Demand>(text).is_err(), "{text}");
        }
    }
}
