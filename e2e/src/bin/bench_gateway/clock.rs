//! A clock that processes share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds, the same in all processes of this machine.
pub fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds from one such moment to another; none if the clock was put back.
pub fn seconds(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from)).as_secs_f64()
}
