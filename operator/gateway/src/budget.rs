//! How many requests may be tried again: a fifth of those that came, so that repeats never become a second load.
//!
//! ```text
//! B  balance, in tenths of a retry; each request adds 2, each retry takes 10; at most 1,000, at the start 100
//! ```
//!
//! The start lets a gateway that has seen little traffic repeat ten requests; the most bounds a burst after a quiet time.

use std::sync::atomic::{AtomicU32, Ordering};

/// A fifth of a retry.
const EARNED: u32 = 2;
/// One retry.
const PRICE: u32 = 10;
const START: u32 = 100;
const MOST: u32 = 1000;

/// The balance.
#[derive(Debug)]
pub struct RetryBudget(AtomicU32);

impl RetryBudget {
    /// With enough for a few.
    pub fn new() -> Self {
        Self(AtomicU32::new(START))
    }

    /// A request came.
    pub fn earn(&self) {
        // exact only while nobody else writes; a lost fifth does not matter, a lock would
        let balance = self.0.load(Ordering::Relaxed);
        if balance < MOST {
            self.0.store(balance + EARNED, Ordering::Relaxed);
        }
    }

    /// Takes one retry, if there is one.
    pub fn take(&self) -> bool {
        let less = |balance: u32| balance.checked_sub(PRICE);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_is_tried_again() {
        let budget = RetryBudget::new();
        let at_first = std::iter::repeat_with(|| budget.take()).take_while(|taken| *taken).count();
        assert_eq!(at_first, 10);
        for _ in 0..100 {
            budget.earn();
        }
        let later = std::iter::repeat_with(|| budget.take()).take_while(|taken| *taken).count();
        assert_eq!(later, 20);
    }

    #[test]
    fn quiet_times_do_not_add_up() {
        let budget = RetryBudget::new();
        for _ in 0..100_000 {
            budget.earn();
        }
        assert_eq!(std::iter::repeat_with(|| budget.take()).take_while(|taken| *taken).count(), 100);
    }
}
