//! All that a fake world knows, behind one lock.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::actors::Actors;
use crate::cluster::Cluster;
use crate::faults::Faults;
use crate::journal::Journal;

/// What happens to open watches on command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The connection breaks.
    Cut,
    /// The server ends the stream in good order.
    Close,
    /// The server says 410 and ends the stream.
    Expire,
}

/// The store and what a test did to it.
pub(crate) struct State {
    pub(crate) cluster: Cluster,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) actors: Actors,
    /// Interruptions so far, each for one resource or, when empty, for all.
    pub(crate) interruptions: Vec<(Interruption, String)>,
    /// Resources whose watches deliver nothing at present.
    pub(crate) frozen: BTreeSet<String>,
    /// Reads answer as of this revision.
    pub(crate) stale: Option<u64>,
}

/// The shared heart of a world: the state, and a bell that rings after every change.
pub(crate) struct Heart {
    state: Mutex<State>,
    bell: watch::Sender<u64>,
}

impl Heart {
    pub(crate) fn new(now: Timestamp) -> Arc<Self> {
        let state = State {
            cluster: Cluster::new(now),
            faults: Faults::default(),
            journal: Journal::default(),
            actors: Actors::default(),
            interruptions: Vec::new(),
            frozen: BTreeSet::new(),
            stale: None,
        };
        Arc::new(Self { state: Mutex::new(state), bell: watch::channel(0).0 })
    }

    /// Looks at the state.
    pub(crate) fn look<R>(&self, see: impl FnOnce(&State) -> R) -> R {
        see(&self.lock())
    }

    /// Changes the state, then wakes whoever waits for changes.
    pub(crate) fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let result = act(&mut self.lock());
        self.bell.send_modify(|count| *count += 1);
        result
    }

    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// A test that panicked while it held the lock has failed already; the others may go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
