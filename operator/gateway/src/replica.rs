//! One engine replica as the gateway knows it: its address, its health, and what runs there now.
//!
//! Shared by all workers; everything that a request touches is an atomic. The health is behind a lock that only probes and failures take.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::admission::Admission;
use crate::choose::{Candidate, opening_key};
use crate::health::{Health, Signal, State};
use crate::scene::Found;

/// How long a replica that has just come up gets less than its share.
pub const SLOW_START: Duration = Duration::from_secs(30);
/// Its share at first.
const FIRST_SHARE: f64 = 0.1;

/// One replica.
#[derive(Debug)]
pub struct Replica {
    /// Name of the Pod.
    pub name: String,
    /// Where its engine listens.
    pub address: SocketAddr,
    id: u64,
    limit: u32,
    running: AtomicU32,
    load: AtomicU32,
    up: AtomicBool,
    leaving: AtomicBool,
    /// Milliseconds after `born` at which it came up.
    up_at: AtomicU64,
    /// Milliseconds after `born` at which the engine last sent something.
    heard: AtomicU64,
    born: Instant,
    health: Mutex<Health>,
    fell: Notify,
}

impl Replica {
    /// One that may run so many requests at once.
    pub fn new(name: &str, address: SocketAddr, limit: u32, health: Health) -> Self {
        let settled = health.state() == State::Up;
        Self {
            name: name.to_owned(),
            address,
            id: opening_key([name.as_bytes(), b""]),
            limit: limit.max(1),
            running: AtomicU32::new(0),
            load: AtomicU32::new(0),
            up: AtomicBool::new(settled),
            leaving: AtomicBool::new(false),
            up_at: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            // one that was well before has settled
            born: if settled {
                Instant::now().checked_sub(SLOW_START).unwrap_or_else(Instant::now)
            } else {
                Instant::now()
            },
            health: Mutex::new(health),
            fell: Notify::new(),
        }
    }

    /// As a choice for a request.
    pub fn candidate(&self) -> Candidate {
        let has_room = self.is_up() && self.running.load(Ordering::Relaxed) < self.limit;
        Candidate { id: self.id, load: self.load.load(Ordering::Relaxed), weight: self.weight(), has_room }
    }

    /// Whether it gets traffic.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed) && !self.leaving.load(Ordering::Relaxed)
    }

    /// Requests that run there, of this gateway.
    pub fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Requests that may run there at once.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether its Pod has been told to stop: it then finishes what it has and gets nothing new.
    pub fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Ordering::Relaxed);
    }

    /// As it would be found.
    pub fn found(&self) -> Found {
        Found { name: self.name.clone(), address: self.address, leaving: self.leaving.load(Ordering::Relaxed) }
    }

    /// Takes note of a signal; returns the new state when it has changed.
    pub fn note(&self, signal: Signal) -> Option<State> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = health.note(signal).then(|| health.state());
        if let Some(state) = changed {
            self.up_at.store(self.age(), Ordering::Relaxed);
            self.up.store(state == State::Up, Ordering::Relaxed);
            if state == State::Down {
                self.fell.notify_waiters();
            }
        }
        changed
    }

    /// Waits until it is found to be down; returns at once if it is already.
    pub async fn fell(&self) {
        let mut fell = pin!(self.fell.notified());
        // what falls between this look and the wait is not missed
        fell.as_mut().enable();
        if self.up.load(Ordering::Relaxed) {
            fell.await;
        }
    }

    /// Its health, for people.
    pub fn state(&self) -> State {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).state()
    }

    /// The engine has sent something.
    pub fn heard(&self) {
        self.heard.store(self.age(), Ordering::Relaxed);
    }

    /// Whether the engine has sent something within this time.
    pub fn heard_within(&self, time: Duration) -> bool {
        let at = self.heard.load(Ordering::Relaxed);
        at > 0 && Duration::from_millis(self.age().saturating_sub(at)) <= time
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn weight(&self) -> f64 {
        let since = Duration::from_millis(self.age().saturating_sub(self.up_at.load(Ordering::Relaxed)));
        if since >= SLOW_START { 1.0 } else { FIRST_SHARE.max(since.as_secs_f64() / SLOW_START.as_secs_f64()) }
    }
}

/// A place on a replica; given back when dropped.
#[derive(Debug)]
pub struct Place {
    /// Where.
    pub replica: Arc<Replica>,
    cost: u32,
    admission: Arc<Admission>,
}

impl Place {
    /// Takes one, unless the replica is full or gets no traffic.
    pub fn take(replica: &Arc<Replica>, cost: u32, admission: &Arc<Admission>) -> Option<Self> {
        if !replica.is_up() {
            return None;
        }
        let more = |running: u32| (running < replica.limit).then(|| running + 1);
        replica.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        replica.load.fetch_add(cost, Ordering::Relaxed);
        Some(Self { replica: replica.clone(), cost, admission: admission.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.replica.load.fetch_sub(self.cost, Ordering::Relaxed);
        self.replica.running.fetch_sub(1, Ordering::Relaxed);
        self.admission.given_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(health: Health) -> Arc<Replica> {
        Arc::new(Replica::new("chat-0", "127.0.0.1:1".parse().unwrap(), 2, health))
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let (replica, admission) = (replica(Health::trusted()), Admission::new());
        let first = Place::take(&replica, 5, &admission);
        let second = Place::take(&replica, 1, &admission);
        assert!(first.is_some() && second.is_some());
        assert!(Place::take(&replica, 1, &admission).is_none());
        assert_eq!((replica.candidate().load, replica.candidate().has_room), (6, false));
        drop(first);
        assert_eq!((replica.candidate().load, replica.candidate().has_room), (1, true));
    }

    #[test]
    fn who_is_down_or_leaves_gets_nothing() {
        let admission = Admission::new();
        assert!(Place::take(&replica(Health::new()), 1, &admission).is_none());
        let leaving = replica(Health::trusted());
        leaving.set_leaving(true);
        assert!(Place::take(&leaving, 1, &admission).is_none());
    }

    #[test]
    fn who_has_just_come_up_starts_slowly() {
        let new = replica(Health::new());
        new.note(Signal::Probed);
        assert_eq!(new.note(Signal::Sang), Some(State::Up));
        assert!(new.candidate().weight < 0.2);
        assert!((replica(Health::trusted()).candidate().weight - 1.0).abs() < f64::EPSILON);
    }
}
