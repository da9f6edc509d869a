//! Who goes first when all replicas are full: a bounded queue by priority, and a refusal for whoever waits in vain.
//!
//! A request takes a place on a replica at once if nobody of its priority or a higher one waits. Otherwise it queues; each place that
//! is given back wakes the first in the queue, which then looks for itself. When the queue is full, whoever came last of the lowest
//! priority is refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// How urgent a request is; of two that wait the higher goes first, and the lower is refused first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Batches that may be repeated.
    Low,
    /// Everything else.
    #[default]
    Normal,
    /// What somebody waits for.
    High,
}

/// Why a request did not get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full of requests that are as urgent or more.
    QueueFull,
    /// It has waited for as long as it may.
    WaitedTooLong,
}

/// The queue in front of all replicas.
#[derive(Debug)]
pub struct Admission {
    queue: Mutex<Queue>,
    /// Requests that wait; read without the lock.
    waiting: AtomicUsize,
    /// Told whenever one begins to wait.
    asked: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order in which they are woken.
    waiters: BTreeMap<Turn, oneshot::Sender<Call>>,
    arrivals: u64,
}

/// The most urgent first, and among those who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn(std::cmp::Reverse<Priority>, u64);

#[derive(Debug)]
enum Call {
    /// A place was given back.
    Look,
    /// Somebody more urgent needs the room in the queue.
    Leave,
}

impl Admission {
    /// An empty queue.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), waiting: AtomicUsize::new(0), asked: Notify::new() })
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Returns as soon as a request waits.
    pub async fn is_asked(&self) {
        loop {
            let asked = self.asked.notified();
            if self.waiting() > 0 {
                return;
            }
            asked.await;
        }
    }

    /// Takes a place with `take`, now or later.
    ///
    /// # Errors
    /// [`Refused`] when there is no room in the queue of `room` requests, or no place within `patience`.
    pub async fn admit<T>(
        self: &Arc<Self>,
        priority: Priority,
        room: usize,
        patience: Duration,
        mut take: impl FnMut() -> Option<T>,
    ) -> Result<T, Refused> {
        if self.may_go(priority)
            && let Some(place) = take()
        {
            return Ok(place);
        }
        let until = Instant::now() + patience;
        let mut arrived = None;
        loop {
            let mut ticket = self.queue_up(priority, arrived, room)?;
            arrived = Some(ticket.turn.1);
            // a place that was given back before this one stood in the queue woke nobody
            if self.is_first(ticket.turn)
                && let Some(place) = take()
            {
                return Ok(place);
            }
            match timeout_at(until, &mut ticket.called).await {
                Ok(Ok(Call::Look)) => {
                    ticket.answered = true;
                    if let Some(place) = take() {
                        return Ok(place);
                    }
                }
                Ok(Ok(Call::Leave) | Err(_)) => return Err(Refused::QueueFull),
                Err(_) => return Err(Refused::WaitedTooLong),
            }
        }
    }

    /// A place may be free again.
    pub fn given_back(&self) {
        if self.waiting() > 0 {
            self.call_next();
        }
    }

    fn call_next(&self) {
        let mut queue = self.lock();
        while let Some((_, waiter)) = queue.waiters.pop_first() {
            self.waiting.store(queue.waiters.len(), Ordering::Relaxed);
            if waiter.send(Call::Look).is_ok() {
                return;
            }
        }
    }

    fn may_go(&self, priority: Priority) -> bool {
        self.waiting() == 0 || self.lock().waiters.keys().next().is_none_or(|first| first.0.0 < priority)
    }

    fn is_first(&self, turn: Turn) -> bool {
        self.lock().waiters.keys().next() == Some(&turn)
    }

    fn queue_up(self: &Arc<Self>, priority: Priority, arrived: Option<u64>, room: usize) -> Result<Ticket, Refused> {
        let mut queue = self.lock();
        let arrival = arrived.unwrap_or(queue.arrivals);
        queue.arrivals = queue.arrivals.max(arrival + 1);
        let turn = Turn(std::cmp::Reverse(priority), arrival);
        // who has waited already has its room
        if arrived.is_none() && queue.waiters.len() >= room {
            match queue.waiters.last_entry().filter(|last| *last.key() > turn && last.key().0.0 < priority) {
                Some(last) => drop(last.remove().send(Call::Leave)),
                None => return Err(Refused::QueueFull),
            }
        }
        let (call, called) = oneshot::channel();
        queue.waiters.insert(turn, call);
        self.waiting.store(queue.waiters.len(), Ordering::Relaxed);
        self.asked.notify_waiters();
        Ok(Ticket { admission: self.clone(), turn, called, answered: false })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that waits. Whoever leaves hands on a call that it has not answered.
struct Ticket {
    admission: Arc<Admission>,
    turn: Turn,
    called: oneshot::Receiver<Call>,
    answered: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let still_there = {
            let mut queue = self.admission.lock();
            let removed = queue.waiters.remove(&self.turn).is_some();
            self.admission.waiting.store(queue.waiters.len(), Ordering::Relaxed);
            removed
        };
        if !still_there && !self.answered && matches!(self.called.try_recv(), Ok(Call::Look)) {
            self.admission.given_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::Priority::{High, Low, Normal};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// A replica with so many places.
    struct Replica {
        free: AtomicUsize,
        admission: Arc<Admission>,
    }

    impl Replica {
        fn with_places(free: usize) -> Arc<Self> {
            Arc::new(Self { free: AtomicUsize::new(free), admission: Admission::new() })
        }

        fn take(&self) -> Option<()> {
            let less = |free: usize| free.checked_sub(1);
            self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).ok().map(|_| ())
        }

        async fn admit(&self, priority: Priority, room: usize) -> Result<(), Refused> {
            self.admission.admit(priority, room, PATIENCE, || self.take()).await
        }

        fn give_back(&self) {
            self.free.fetch_add(1, Ordering::SeqCst);
            self.admission.given_back();
        }

        /// Starts a request that waits; its name is told when it gets a place.
        fn request(
            self: &Arc<Self>,
            name: &'static str,
            priority: Priority,
            told: &Arc<Mutex<Vec<&'static str>>>,
        ) -> tokio::task::JoinHandle<Result<(), Refused>> {
            let (replica, told) = (self.clone(), told.clone());
            tokio::spawn(async move {
                let admitted = replica.admit(priority, 3).await;
                told.lock().unwrap().push(if admitted.is_ok() { name } else { "refused" });
                admitted
            })
        }
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_there_is_room_nobody_waits() {
        let replica = Replica::with_places(2);
        assert_eq!(replica.admit(Low, 0).await, Ok(()));
        assert_eq!(replica.admit(Low, 0).await, Ok(()));
        assert_eq!(replica.admit(High, 0).await, Err(Refused::QueueFull));
        assert_eq!(replica.admit(High, 1).await, Err(Refused::WaitedTooLong));
        assert_eq!(replica.admission.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_urgent_go_first_and_then_who_came_first() {
        let (replica, told) = (Replica::with_places(0), Arc::default());
        for (name, priority) in [("low", Low), ("first", Normal), ("second", Normal)] {
            replica.request(name, priority, &told);
            settle().await;
        }
        for _ in 0..3 {
            replica.give_back();
            settle().await;
        }
        assert_eq!(*told.lock().unwrap(), ["first", "second", "low"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_urgent_is_refused_when_the_queue_is_full() {
        let (replica, told) = (Replica::with_places(0), Arc::default());
        for (name, priority) in [("old", Low), ("low", Low), ("normal", Normal)] {
            replica.request(name, priority, &told);
            settle().await;
        }
        let refused = replica.request("late", Low, &told);
        settle().await;
        assert_eq!(refused.await.unwrap(), Err(Refused::QueueFull));
        replica.request("high", High, &told);
        settle().await;
        assert_eq!(*told.lock().unwrap(), ["refused", "refused"], "the late one, and the younger one of low priority");
        for _ in 0..3 {
            replica.give_back();
            settle().await;
        }
        assert_eq!(told.lock().unwrap()[2..], ["high", "normal", "old"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_to_know_is_told_at_once_that_somebody_waits() {
        let (replica, told) = (Replica::with_places(0), Arc::default());
        let listener = tokio::spawn({
            let replica = replica.clone();
            async move { replica.admission.is_asked().await }
        });
        settle().await;
        assert!(!listener.is_finished());
        replica.request("first", Normal, &told);
        settle().await;
        assert!(listener.is_finished());
        replica.admission.is_asked().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_hands_its_call_on() {
        let (replica, told) = (Replica::with_places(0), Arc::default());
        let gone = replica.request("gone", High, &told);
        settle().await;
        replica.request("stays", Normal, &told);
        settle().await;
        // called, and ended before it could look
        replica.give_back();
        gone.abort();
        settle().await;
        assert_eq!(*told.lock().unwrap(), ["stays"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_overtakes_who_waits() {
        let (replica, told) = (Replica::with_places(0), Arc::default());
        replica.request("first", Normal, &told);
        settle().await;
        replica.free.fetch_add(1, Ordering::SeqCst);
        replica.request("second", Normal, &told);
        settle().await;
        assert!(told.lock().unwrap().is_empty(), "a place that nobody gave back belongs to who waits");
        replica.admission.given_back();
        settle().await;
        assert_eq!(*told.lock().unwrap(), ["first"]);
    }
}
