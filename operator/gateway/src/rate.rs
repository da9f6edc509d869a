//! Limits per minute, of requests and of tokens.
//!
//! ```text
//! r  units per minute;  T = 60 s / r  time that a unit takes;  W = 60 s  how far ahead the account may be
//! a  the account: the moment at which everything that was taken is paid off
//!
//! take one:  allowed if max(a, now) + T <= now + W        (generic cell rate algorithm, ITU-T I.371)
//! go on:     allowed if a < now + W
//! charge n:  a = max(a, now) + n T
//! ```
//!
//! What a request uses is known only afterwards: it is allowed while the account is not overdrawn, and charged when it has ended.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);

/// One account.
#[derive(Debug)]
pub struct Rate {
    per_minute: u32,
    paid_off: Mutex<Option<Instant>>,
}

impl Rate {
    /// So many units per minute; a burst may use a minute's units at once. Zero allows nothing.
    pub fn per_minute(units: u32) -> Self {
        Self { per_minute: units, paid_off: Mutex::new(None) }
    }

    /// Whether the account is not overdrawn.
    ///
    /// # Errors
    /// The time after which it may.
    pub fn check(&self, now: Instant) -> Result<(), Duration> {
        if self.per_minute == 0 {
            return Err(WINDOW);
        }
        let ahead = self.ahead(now);
        if ahead < WINDOW { Ok(()) } else { Err(ahead.saturating_sub(WINDOW) + self.unit()) }
    }

    fn ahead(&self, now: Instant) -> Duration {
        self.lock().map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// Takes so many units, whether or not they are there.
    pub fn charge(&self, units: u64, now: Instant) {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let mut paid_off = self.lock();
        let from = paid_off.map_or(now, |at| at.max(now));
        // a single answer never closes an account for longer than an hour
        let cost = self.unit().saturating_mul(units).min(WINDOW * 60);
        *paid_off = from.checked_add(cost);
    }

    /// Takes one unit, if it is there.
    ///
    /// # Errors
    /// The time after which it is.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        self.check(now)?;
        let after = self.ahead(now) + self.unit();
        if after > WINDOW {
            return Err(after.saturating_sub(WINDOW));
        }
        self.charge(1, now);
        Ok(())
    }

    fn unit(&self) -> Duration {
        WINDOW / self.per_minute.max(1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.paid_off.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &Rate, now: Instant) -> usize {
        std::iter::repeat_with(|| rate.take(now)).take(1000).take_while(Result::is_ok).count()
    }

    #[test]
    fn a_minutes_units_and_then_one_at_a_time() {
        let (rate, start) = (Rate::per_minute(60), Instant::now());
        assert_eq!(taken(&rate, start), 60);
        assert_eq!(rate.take(start), Err(Duration::from_secs(1)));
        assert_eq!(taken(&rate, start + Duration::from_secs(2)), 2);
        assert_eq!(taken(&rate, start + Duration::from_secs(600)), 60, "quiet minutes do not add up");
    }

    #[test]
    fn tokens_are_charged_afterwards() {
        let (rate, start) = (Rate::per_minute(1000), Instant::now());
        rate.charge(3000, start);
        let wait = rate.check(start).unwrap_err();
        assert!(wait > Duration::from_secs(119) && wait < Duration::from_secs(121), "{wait:?}");
        assert_eq!(rate.check(start + wait), Ok(()));
    }

    #[test]
    fn zero_is_nothing_and_much_is_no_overflow() {
        let now = Instant::now();
        assert_eq!(Rate::per_minute(0).take(now), Err(WINDOW));
        let rate = Rate::per_minute(1);
        rate.charge(u64::MAX, now);
        rate.charge(u64::MAX, now);
        assert!(rate.check(now).is_err());
    }
}
