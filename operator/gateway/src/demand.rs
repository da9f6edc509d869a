//! The load, counted by the second for autoscaling: `/demand` tells it.
//!
//! # Guarantees
//! A request costs one increment when it arrives and one when it ends, whatever becomes of it. The memory is fixed: the counts of a
//! quarter of an hour. A second in which nothing happened is told as zeros.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deepseek_core::demand::{Demand, REMEMBERED};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::account::Ending;
use crate::scene::Shared;

/// The counts.
#[derive(Debug)]
pub struct Load {
    arrived: AtomicU64,
    served: AtomicU64,
    mistaken: AtomicU64,
    failed: AtomicU64,
    past: Mutex<Past>,
}

#[derive(Debug)]
struct Past {
    seconds: u64,
    last: VecDeque<Second>,
    /// What the seconds so far add up to.
    told: Totals,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    arrivals: u64,
    served: u64,
    tokens: u64,
}

#[derive(Clone, Copy, Debug)]
struct Second {
    arrivals: u32,
    served: u32,
    tokens: u32,
    in_flight: u32,
    queued: u32,
}

impl Default for Load {
    fn default() -> Self {
        let past = Past { seconds: 0, last: VecDeque::with_capacity(REMEMBERED), told: Totals::default() };
        Self {
            arrived: AtomicU64::new(0),
            served: AtomicU64::new(0),
            mistaken: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            past: Mutex::new(past),
        }
    }
}

impl Load {
    /// A request asks for capacity.
    pub fn arrived(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    /// It is over. What the engine takes for the client's mistake has asked for nothing.
    pub fn ended(&self, ending: Ending, status: u16) {
        let counter = match (ending, status) {
            (_, 408 | 429) => &self.failed,
            (_, 400..=499) => &self.mistaken,
            (Ending::Completed, 100..=399) => &self.served,
            _ => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// So many seconds are over, since it was told last.
    fn tick(&self, seconds: u64, queued: usize, tokens: u64) {
        // what has ended is read first, so that nothing ends before it has arrived
        let [served, mistaken, failed] =
            [&self.served, &self.mistaken, &self.failed].map(|counter| counter.load(Ordering::Relaxed));
        let arrived = self.arrived.load(Ordering::Relaxed);
        let in_flight = narrow(arrived.saturating_sub(served + mistaken + failed));
        let mut past = self.lock();
        let now = Totals {
            // a mistake that arrived in a second that was told is taken from one that was not
            arrivals: arrived.saturating_sub(mistaken).max(past.told.arrivals),
            served,
            tokens,
        };
        let before = std::mem::replace(&mut past.told, now);
        past.seconds += seconds;
        let kept = seconds.min(REMEMBERED as u64);
        for at in 0..kept {
            let share = |now: u64, before: u64| {
                let all = now.saturating_sub(before);
                narrow(all / seconds + u64::from(at < all % seconds))
            };
            if past.last.len() == REMEMBERED {
                past.last.pop_front();
            }
            past.last.push_back(Second {
                arrivals: share(now.arrivals, before.arrivals),
                served: share(now.served, before.served),
                tokens: share(now.tokens, before.tokens),
                in_flight,
                queued: u32::try_from(queued).unwrap_or(u32::MAX),
            });
        }
    }

    /// The last so many seconds.
    pub fn told(&self, seconds: usize) -> Demand {
        let past = self.lock();
        let skipped = past.last.len().saturating_sub(seconds);
        let each = |of: fn(&Second) -> u32| past.last.iter().skip(skipped).map(of).collect();
        Demand {
            seconds: past.seconds,
            arrivals: each(|second| second.arrivals),
            served: each(|second| second.served),
            tokens: each(|second| second.tokens),
            in_flight: each(|second| second.in_flight),
            queued: each(|second| second.queued),
            waiting: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Counts seconds for as long as it is not dropped. Where the process stood still, what came meanwhile is spread over that time.
pub async fn count(shared: Arc<Shared>) -> Infallible {
    let (begun, mut counted) = (Instant::now(), 0);
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let over = begun.elapsed().as_secs();
        if over > counted {
            shared.metrics.load.tick(over - counted, shared.admission.waiting(), shared.metrics.tokens());
            counted = over;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(load: &Load, times: usize, ending: Ending, status: u16) {
        (0..times).for_each(|_| load.ended(ending, status));
    }

    fn arrived(load: &Load, times: usize) {
        (0..times).for_each(|_| load.arrived());
    }

    #[test]
    fn each_second_is_told_and_one_without_requests_is_zero() {
        let load = Load::default();
        assert_eq!(load.told(9), Demand::default(), "nothing is told before a second is over");
        arrived(&load, 5);
        ended(&load, 2, Ending::Completed, 200);
        load.tick(1, 1, 70);
        load.tick(1, 0, 70);
        ended(&load, 1, Ending::Refused, 503);
        ended(&load, 1, Ending::Cancelled, 200);
        load.tick(1, 0, 90);
        let told = load.told(9);
        assert_eq!(told.check(), Ok(()));
        assert_eq!((told.seconds, told.arrivals, told.served), (3, vec![5, 0, 0], vec![2, 0, 0]));
        assert_eq!((told.in_flight, told.queued, told.tokens), (vec![3, 3, 1], vec![1, 0, 0], vec![70, 0, 20]));
        assert_eq!(load.told(1).in_flight, [1], "the newest");
    }

    #[test]
    fn the_clients_mistake_is_no_demand() {
        let load = Load::default();
        arrived(&load, 4);
        ended(&load, 1, Ending::Completed, 400);
        ended(&load, 1, Ending::Refused, 429);
        load.tick(1, 0, 0);
        assert_eq!((load.told(1).arrivals, load.told(1).in_flight), (vec![3], vec![2]), "an overload is one");
        // it turns out to be one when its second was told already
        ended(&load, 1, Ending::Completed, 422);
        load.tick(1, 0, 0);
        arrived(&load, 3);
        load.tick(1, 0, 0);
        assert_eq!(load.told(3).arrivals, [3, 0, 2]);
    }

    #[test]
    fn time_that_was_slept_through_is_filled_and_memory_stays_as_it_is() {
        let load = Load::default();
        arrived(&load, 7);
        load.tick(3, 0, 0);
        assert_eq!(load.told(3).arrivals, [3, 2, 2]);
        load.tick(10_000_000, 0, 0);
        arrived(&load, 1);
        load.tick(1, 0, 0);
        let told = load.told(usize::MAX);
        assert_eq!((told.seconds, told.arrivals.len(), told.arrivals.last()), (10_000_004, REMEMBERED, Some(&1)));
        assert_eq!(load.lock().last.capacity(), VecDeque::<Second>::with_capacity(REMEMBERED).capacity());
    }
}
