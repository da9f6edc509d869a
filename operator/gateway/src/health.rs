//! Is a replica well? One state machine for each, fed by probes, canaries and real traffic.
//!
//! ```text
//!            good probe and good canary
//!   New  ─────────────────────────────────▶  Up
//!                                            │  ▲
//!     3 soft or 2 hard failures in a row,    │  │  good probe and good canary, both after it fell
//!     or 2 failed canaries in a row          ▼  │
//!                                           Down
//! ```
//!
//! A *hard* failure is one that only a dead process or a dead way gives: refused, reset. A *soft* one may be a busy engine: slow,
//! or HTTP 5xx. Anything that the replica sends is a sign of life and clears soft failures; only a good probe clears hard ones.

/// Soft failures in a row that take a replica out; with a probe each second, three seconds.
pub const SOFT_LIMIT: u8 = 3;
/// Hard failures in a row that take a replica out.
pub const HARD_LIMIT: u8 = 2;
/// Failed canaries in a row that take a replica out.
pub const CANARY_LIMIT: u8 = 2;

/// What was noticed of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A probe was answered well.
    Probed,
    /// A canary brought a token.
    Sang,
    /// Real traffic brought bytes.
    Alive,
    /// Slow, or HTTP 5xx.
    Soft,
    /// Refused or reset.
    Hard,
    /// A canary brought no token, or none in time.
    Mute,
}

/// What follows for traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not shown yet that it serves.
    New,
    /// It gets traffic.
    Up,
    /// It gets none.
    Down,
}

/// The health of one replica.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    state: State,
    soft: u8,
    hard: u8,
    mute: u8,
    probed: bool,
    sang: bool,
}

impl Health {
    /// Of a replica that has just been seen.
    pub fn new() -> Self {
        Self { state: State::New, soft: 0, hard: 0, mute: 0, probed: false, sang: false }
    }

    /// Of a replica that was well before this process started: it keeps its traffic until it fails.
    pub fn trusted() -> Self {
        Self { state: State::Up, ..Self::new() }
    }

    /// Whether it gets traffic.
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes note of a signal; true when the state has changed.
    pub fn note(&mut self, signal: Signal) -> bool {
        let before = self.state;
        match signal {
            Signal::Probed => (self.soft, self.hard, self.probed) = (0, 0, true),
            Signal::Sang => (self.mute, self.sang) = (0, true),
            Signal::Alive => (self.soft, self.mute) = (0, 0),
            Signal::Soft => self.soft = self.soft.saturating_add(1),
            Signal::Hard => self.hard = self.hard.saturating_add(1),
            Signal::Mute => self.mute = self.mute.saturating_add(1),
        }
        match self.state {
            State::Up if self.soft >= SOFT_LIMIT || self.hard >= HARD_LIMIT || self.mute >= CANARY_LIMIT => {
                *self = Self { state: State::Down, ..Self::new() };
            }
            State::New | State::Down if self.probed && self.sang => *self = Self { state: State::Up, ..Self::new() },
            State::New | State::Down if matches!(signal, Signal::Soft | Signal::Hard) => self.probed = false,
            State::New | State::Down if signal == Signal::Mute => self.sang = false,
            _ => {}
        }
        self.state != before
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Signal::{Alive, Hard, Mute, Probed, Sang, Soft};
    use super::*;

    fn after(health: Health, signals: &[Signal]) -> State {
        let mut health = health;
        for signal in signals {
            health.note(*signal);
        }
        health.state()
    }

    #[test]
    fn a_new_replica_serves_after_its_first_probe_and_canary() {
        assert_eq!(after(Health::new(), &[Probed]), State::New);
        assert_eq!(after(Health::new(), &[Sang]), State::New);
        assert_eq!(after(Health::new(), &[Probed, Sang]), State::Up);
        assert_eq!(after(Health::new(), &[Probed, Soft, Sang]), State::New);
        assert_eq!(after(Health::new(), &[Probed, Mute, Sang]), State::Up);
    }

    #[test]
    fn failures_in_a_row_take_it_out() {
        for out in [&[Soft, Soft, Soft][..], &[Hard, Hard], &[Mute, Mute], &[Soft, Hard, Alive, Hard]] {
            assert_eq!(after(Health::trusted(), out), State::Down, "{out:?}");
        }
        for well in [
            &[Soft, Soft, Probed, Soft][..],
            &[Soft, Soft, Alive, Soft],
            &[Hard, Probed, Hard],
            &[Mute, Sang, Mute],
            &[Mute, Alive, Mute],
        ] {
            assert_eq!(after(Health::trusted(), well), State::Up, "{well:?}");
        }
    }

    #[test]
    fn who_fell_has_to_show_both_again() {
        assert_eq!(after(Health::trusted(), &[Hard, Hard, Probed]), State::Down);
        assert_eq!(after(Health::trusted(), &[Hard, Hard, Sang]), State::Down);
        assert_eq!(after(Health::trusted(), &[Hard, Hard, Sang, Probed]), State::Up);
        assert_eq!(
            after(Health::trusted(), &[Probed, Sang, Hard, Hard]),
            State::Down,
            "what was before does not count"
        );
    }

    proptest! {
        #[test]
        fn nobody_is_up_whose_last_probes_all_failed(signals in proptest::collection::vec(0..6_u8, 0..40)) {
            let mut health = Health::trusted();
            let mut run = 0;
            for signal in signals {
                let signal = [Probed, Sang, Alive, Soft, Hard, Mute][usize::from(signal)];
                run = if signal == Hard { run + 1 } else { 0 };
                health.note(signal);
                prop_assert!(run < usize::from(HARD_LIMIT) || health.state() != State::Up);
            }
        }
    }
}
