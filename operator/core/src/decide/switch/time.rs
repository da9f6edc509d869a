//! Time as a site sees it, and the times of the protocol.
//!
//! ```text
//! D   lease            a candidate waits so long after the last change that it saw itself
//! d   renew deadline   a proof of holding ends so long after the start of the request that gave it
//! l   request limit    a request that has not been answered by then counts as failed
//! p   renew period     a holder renews what it has seen unchanged for so long
//!
//! p + l <= d           one renewal fits before the deadline
//! (D - l) / d >= 1.3   how much faster than the holder's a candidate's clock may run (rule 10)
//! ```
//!
//! The last line: a request of the holder that was sent while its proof held lands within `l`; a candidate whose clock runs `r` times as
//! fast is through with waiting after `D / r`. Both are safe when `r d + l <= D`.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point of local, monotonic time: milliseconds since this process started. Never compared with another process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(u64);

impl Moment {
    /// When this process started.
    pub const START: Self = Self(0);

    /// So many milliseconds after the start of the process.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// So long after the start of the process; parts of a millisecond are dropped.
    pub fn after_start(time: Duration) -> Self {
        Self(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long it is since `earlier`; nothing if that is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(Self::after_start(time).0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:01} s", self.0 / 1000, self.0 % 1000 / 100)
    }
}

/// The times of the protocol. [`Timing::FAST`] and [`Timing::WAN`] are the profiles of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// D: a role that has not changed for so long, as we saw it, has expired.
    pub lease: Duration,
    /// A holder renews a role that it has seen unchanged for so long.
    pub renew: Duration,
    /// A proof of holding ends so long after the start of the request that gave it.
    pub deadline: Duration,
    /// An unanswered request counts as failed after so long.
    pub request: Duration,
    /// How often the witness is read, and the peer asked.
    pub poll: Duration,
    /// So many probes must fail in a row before a data plane counts as down.
    pub failures: u8,
    /// A data plane that was down must answer for so long before it counts as up.
    pub clear: Duration,
    /// What a peer or an observer said counts for so long.
    pub fresh: Duration,
    /// Without a witness and without a word of the peer, a standby serves after so long (`onQuorumLoss: Promote`).
    pub lonely: Duration,
    /// A site that was given the role and is not ready after so long gives it back.
    pub gate: Duration,
    /// A switchover stays at 10, 50 and 100 % for so long each.
    pub share: Duration,
    /// A handover that waits for its target is undone after so long.
    pub handover: Duration,
    /// Streams have so long to finish after the role is gone.
    pub drain: Duration,
}

/// Why times do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimingError {
    /// Something that must take time takes none.
    Zero(&'static str),
    /// No renewal fits before the deadline: renew period + request limit > renew deadline.
    NoRenewalFits,
    /// Clocks that differ by less than three in ten would allow two holders: 10 (lease - request limit) < 13 deadlines.
    NoMargin,
}

impl Timing {
    /// Sites near each other: round trips below 50 ms.
    pub const FAST: Self = Self {
        lease: Duration::from_secs(8),
        renew: Duration::from_secs(2),
        deadline: Duration::from_secs(5),
        request: Duration::from_millis(1500),
        poll: Duration::from_secs(1),
        failures: 3,
        clear: Duration::from_secs(10),
        fresh: Duration::from_secs(6),
        lonely: Duration::from_secs(12),
        gate: Duration::from_secs(10),
        share: Duration::from_secs(10),
        handover: Duration::from_secs(20),
        drain: Duration::from_secs(600),
    };

    /// Sites far from each other, or lossy links.
    pub const WAN: Self = Self {
        lease: Duration::from_secs(12),
        renew: Duration::from_secs(3),
        deadline: Duration::from_millis(7500),
        ..Self::FAST
    };

    /// Whether the times keep the protocol safe and let it work at all.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), TimingError> {
        let needed = [("renew period", self.renew), ("request limit", self.request), ("poll period", self.poll)];
        if let Some((name, _)) = needed.into_iter().find(|(_, time)| time.is_zero()) {
            return Err(TimingError::Zero(name));
        }
        if self.failures == 0 {
            return Err(TimingError::Zero("number of failed probes"));
        }
        if self.renew.saturating_add(self.request) > self.deadline {
            return Err(TimingError::NoRenewalFits);
        }
        if self.lease.saturating_sub(self.request).as_millis() * 10 < self.deadline.as_millis() * 13 {
            return Err(TimingError::NoMargin);
        }
        Ok(())
    }

    /// How long after its last answer the witness, or the peer's link, still counts as reachable: three polls.
    pub fn silence(&self) -> Duration {
        self.poll.saturating_mul(3)
    }
}

impl fmt::Display for TimingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(name) => write!(f, "the {name} must be more than nothing"),
            Self::NoRenewalFits => f.write_str("renew period and request limit together must not exceed the renew deadline"),
            Self::NoMargin => {
                f.write_str("the lease less the request limit must be at least 1.3 renew deadlines, or two clocks allow two holders")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_profiles_are_safe() {
        assert_eq!(Timing::FAST.validate(), Ok(()));
        assert_eq!(Timing::WAN.validate(), Ok(()));
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let ms = Duration::from_millis;
        let rows = [
            (Timing { lease: ms(7999), ..Timing::FAST }, TimingError::NoMargin),
            (Timing { deadline: ms(3499), ..Timing::FAST }, TimingError::NoRenewalFits),
            (Timing { deadline: ms(5001), ..Timing::FAST }, TimingError::NoMargin),
            (Timing { poll: ms(0), ..Timing::FAST }, TimingError::Zero("poll period")),
            (Timing { failures: 0, ..Timing::FAST }, TimingError::Zero("number of failed probes")),
        ];
        for (timing, error) in rows {
            assert_eq!(timing.validate(), Err(error), "{timing:?}");
        }
    }

    proptest! {
        /// A write sent at the last moment that the proof allows lands before any candidate whose clock runs 1.3 times as fast acts.
        #[test]
        fn valid_times_leave_a_margin(lease in 0..60_000_u64, renew in 0..9_000_u64, deadline in 0..30_000_u64, request in 0..5_000_u64) {
            let ms = Duration::from_millis;
            let timing = Timing { lease: ms(lease), renew: ms(renew), deadline: ms(deadline), request: ms(request), ..Timing::FAST };
            if timing.validate().is_ok() {
                prop_assert!(13 * deadline + 10 * request <= 10 * lease);
                prop_assert!(renew + request <= deadline);
            }
        }
    }
}
