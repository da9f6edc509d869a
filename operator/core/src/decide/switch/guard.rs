//! Not too often.
//!
//! ```text
//! hold-off = h x 2^(n - 1), at most 4 h        n switches, each within 4 h of the one before; h = 10 min
//! frozen   = 3 switches within the last hour
//! ```
//!
//! Both bar what is voluntary: handover, switchover, failback. An active site without any capacity is always left.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::role::{Sight, Site};
use super::time::Moment;

const MOST: Duration = Duration::from_secs(4 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
const LIMIT: usize = 3;

/// Switches that we have seen, by whichever site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guard {
    holder: Option<Site>,
    switches: Vec<Moment>,
    strikes: u32,
}

impl Guard {
    /// After a restart all that was kept counts as if it had happened just now: careful.
    pub fn restarted(switches: u8, now: Moment) -> Self {
        let switches = vec![now; usize::from(switches).min(LIMIT)];
        Self { holder: None, strikes: u32::try_from(switches.len()).unwrap_or_default(), switches }
    }

    /// Takes in who holds now.
    pub fn saw(&mut self, sight: &Sight, now: Moment) {
        let Some(holder) = sight.record().filter(|record| record.released.is_none()).map(|record| record.holder) else {
            return;
        };
        self.holds(holder, now);
    }

    /// This site holds now.
    pub fn holds(&mut self, holder: Site, now: Moment) {
        let before = self.holder.replace(holder);
        if before.is_none_or(|before| before == holder) {
            return;
        }
        let soon = self.switches.last().is_some_and(|last| now.since(*last) < MOST);
        self.strikes = if soon { self.strikes.saturating_add(1) } else { 1 };
        let from = self.switches.len().saturating_sub(LIMIT - 1);
        self.switches.drain(..from);
        self.switches.push(now);
    }

    /// How many switches were seen in the last hour; counting stops at the limit.
    pub fn recent(&self, now: Moment) -> u8 {
        let recent = self.switches.iter().filter(|at| now.since(**at) < HOUR).count();
        u8::try_from(recent).unwrap_or(u8::MAX)
    }

    /// Whether there were so many that a person should look.
    pub fn is_frozen(&self, now: Moment) -> bool {
        usize::from(self.recent(now)) >= LIMIT
    }

    /// Whether the last switch is too recent for another voluntary one.
    pub fn is_held_off(&self, least: Duration, now: Moment) -> bool {
        let doubled = 1_u32.checked_shl(self.strikes.saturating_sub(1)).unwrap_or(u32::MAX);
        let time = least.saturating_mul(doubled).min(MOST);
        self.switches.last().is_some_and(|last| now.since(*last) < time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    /// A guard that saw a switch at each of these seconds.
    fn after(switches: &[u64]) -> Guard {
        let mut guard = Guard::default();
        guard.holds(Site::Us, at(0));
        for (second, holder) in switches.iter().zip([Site::Peer, Site::Us].into_iter().cycle()) {
            guard.holds(holder, at(*second));
        }
        guard
    }

    #[test]
    fn the_first_holder_is_no_switch() {
        assert!(!after(&[]).is_held_off(LEAST, at(1)));
    }

    #[test]
    fn hold_off_doubles_up_to_four_hours() {
        let rows = [
            (&[0_u64][..], 600),
            (&[0, 600], 1200),
            (&[0, 600, 1800], 2400),
            (&[0, 3600, 7200, 10800, 14400, 18000], 14_400),
        ];
        for (switches, seconds) in rows {
            let last = switches.last().unwrap();
            let guard = after(switches);
            assert!(guard.is_held_off(LEAST, at(last + seconds - 1)), "{switches:?}");
            assert!(!guard.is_held_off(LEAST, at(last + seconds)), "{switches:?}");
        }
    }

    #[test]
    fn after_four_quiet_hours_all_is_forgiven() {
        let guard = after(&[0, 600, 15_001]);
        assert!(!guard.is_held_off(LEAST, at(15_601)));
    }

    #[test]
    fn three_in_an_hour_freeze_until_one_is_an_hour_old() {
        assert!(!after(&[0, 100]).is_frozen(at(101)));
        let guard = after(&[0, 100, 200]);
        assert!(guard.is_frozen(at(200)) && guard.is_frozen(at(3599)));
        assert!(!guard.is_frozen(at(3600)));
    }

    #[test]
    fn a_restart_forgets_nothing() {
        assert!(Guard::restarted(3, at(0)).is_frozen(at(3599)));
        assert!(Guard::restarted(1, at(0)).is_held_off(LEAST, at(599)));
        assert!(!Guard::restarted(0, at(0)).is_held_off(LEAST, at(0)));
    }
}
