//! What happened, what there is, and waiting for it.

use std::future::Future;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::World;
use crate::journal::{Mark, Record};
use crate::snapshot::Snapshot;

impl World {
    /// All requests so far.
    pub fn requests(&self) -> Vec<Record> {
        self.requests_since(Mark(0))
    }

    /// This place in the log of requests.
    pub fn mark(&self) -> Mark {
        self.heart.look(|state| state.journal.mark())
    }

    /// All requests after a mark.
    pub fn requests_since(&self, mark: Mark) -> Vec<Record> {
        self.heart.look(|state| state.journal.since(mark).to_vec())
    }

    /// All requests after a mark which may change something; Leases left out.
    pub fn writes_since(&self, mark: Mark) -> Vec<Record> {
        self.requests_since(mark).into_iter().filter(|record| record.is_write() && !record.is_lease()).collect()
    }

    /// Panics if there was a write after a mark, and names each. Leases may be written.
    ///
    /// # Panics
    /// When there was a write.
    #[track_caller]
    pub fn assert_no_writes_since(&self, mark: Mark) {
        let writes: Vec<String> = self.writes_since(mark).iter().map(Record::spoken).collect();
        assert!(writes.is_empty(), "{} writes where none was due:\n{}", writes.len(), writes.join("\n"));
    }

    /// All objects, normalised, to be compared with those of another time or world.
    pub fn snapshot(&self) -> Snapshot {
        self.heart.look(|state| Snapshot::of(state.cluster.objects().map(|(key, object)| (key, &**object))))
    }

    /// Waits until `holds`, for a minute at most (virtual time where the runtime's clock is paused).
    ///
    /// # Panics
    /// When the minute is over; the message names `what` and the last requests.
    pub fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        self.within(Duration::from_secs(60), what, holds)
    }

    /// Waits until `holds`, for `limit` at most.
    ///
    /// # Panics
    /// When the time is over; the message names `what` and the last requests.
    pub async fn within(&self, limit: Duration, what: &str, holds: impl Fn(&Self) -> bool) {
        let mut bell = self.heart.listen();
        let wait = async {
            loop {
                bell.borrow_and_update();
                if holds(self) {
                    return;
                }
                bell.changed().await.expect("the world outlives whoever waits for it");
            }
        };
        let came = timeout(limit, wait).await.is_ok();
        assert!(came, "waited {limit:?} in vain for: {what}\nlast requests:\n{}", self.last_requests());
    }

    /// Waits until no request (watches and Leases aside) has come for this long. With a paused clock this is exact:
    /// time moves only when every task waits.
    ///
    /// # Panics
    /// When there is no silence in a thousand such spans.
    pub async fn quiet_for(&self, span: Duration) {
        for _ in 0..1000 {
            let mark = self.mark();
            sleep(span).await;
            if self.requests_since(mark).iter().all(|record| record.is_watch() || record.is_lease()) {
                return;
            }
        }
        panic!("it never got quiet for {span:?}\nlast requests:\n{}", self.last_requests());
    }

    fn last_requests(&self) -> String {
        let requests = self.requests();
        let last = requests.iter().rev().take(20).rev();
        last.map(Record::spoken).collect::<Vec<_>>().join("\n")
    }
}
