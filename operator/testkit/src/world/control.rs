//! What a test commands: clock, actors, faults, watches, reads.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::World;
use crate::faults::{Alarm, Fault, When};
use crate::journal::Record;
use crate::state::{Interruption, State};

/// The clock, and who else lives here.
impl World {
    /// The time in this world; it moves on command only.
    pub fn now(&self) -> Timestamp {
        self.heart.look(|state| state.cluster.now)
    }

    /// Moves the clock, forwards or back.
    pub fn advance(&self, by: SignedDuration) {
        self.heart.change(|state| state.cluster.advance(by));
    }

    /// From now on the rest of Kubernetes works after every write: Deployments get replica sets and pods,
    /// pods get nodes and become ready, claims are bound, kubelets end their pods.
    pub fn run_deployments(&self) {
        self.heart.change(|state| {
            state.actors.automatic = true;
            state.cluster.kubelets = true;
            state.settle();
        });
    }

    /// The rest of Kubernetes works on command only: [`settle`](Self::settle) or [`step`](Self::step).
    /// Pods on nodes now wait for their kubelet when they are deleted.
    pub fn run_on_command(&self) {
        self.heart.change(|state| {
            state.actors.automatic = false;
            state.cluster.kubelets = true;
        });
    }

    /// Lets the rest of Kubernetes work until nothing changes.
    ///
    /// # Panics
    /// When that takes more rounds than any scene needs.
    pub fn settle(&self) {
        self.heart.change(State::settle);
    }

    /// One round of the rest of Kubernetes, to see what lies in between. True if something changed.
    pub fn step(&self) -> bool {
        self.heart.change(State::step)
    }

    /// Cuts the power of a node: nothing there starts, ends or reports. The node's own object says nothing of it, as on a real
    /// server for the first 54 seconds.
    pub fn cut_power(&self, node: &str) {
        self.heart.change(|state| {
            state.actors.dark.insert(node.to_owned());
        });
    }

    /// Gives all nodes their power back.
    pub fn restore_power(&self) {
        self.heart.change(|state| {
            state.actors.dark.clear();
            if state.actors.automatic {
                state.settle();
            }
        });
    }

    /// Pods which `chosen` accepts run from now on without becoming ready; see also
    /// [`let_ready`](Self::let_ready).
    pub fn keep_unready(&self, chosen: impl Fn(&Value) -> bool + Send + 'static) {
        self.heart.change(|state| state.actors.unready.push(Box::new(chosen)));
    }

    /// All pods may become ready again.
    pub fn let_ready(&self) {
        self.heart.change(|state| {
            state.actors.unready.clear();
            if state.actors.automatic {
                state.settle();
            }
        });
    }

    /// The garbage collector rests: orphans stay.
    pub fn pause_garbage_collection(&self) {
        self.heart.change(|state| state.cluster.garbage_paused = true);
    }

    /// The garbage collector works again, beginning with what has gathered.
    pub fn resume_garbage_collection(&self) {
        self.heart.change(|state| {
            state.cluster.garbage_paused = false;
            state.cluster.tidy();
        });
    }
}

/// What goes wrong.
impl World {
    /// Fails the request with this number. Numbers start at 1; watches and Leases have none unless
    /// [`count_only`](Self::count_only) says otherwise.
    pub fn fail_at(&self, number: u64, fault: Fault) -> Alarm {
        self.fail(When::request(number), fault)
    }

    /// Fails the requests which `when` describes.
    pub fn fail(&self, when: When, fault: Fault) -> Alarm {
        self.heart.change(|state| state.faults.plan(when, fault))
    }

    /// Numbers only requests which `filter` accepts, from 1 again.
    pub fn count_only(&self, filter: impl Fn(&Record) -> bool + Send + 'static) {
        self.heart.change(|state| state.journal.count_only(filter));
    }

    /// How many requests have been numbered.
    pub fn counted(&self) -> u64 {
        self.heart.look(|state| state.journal.counted())
    }

    /// Crashed clients may speak again.
    pub fn revive(&self) {
        self.heart.change(|state| state.faults.revive());
    }

    /// No more faults, and crashed clients may speak again.
    pub fn heal(&self) {
        self.heart.change(|state| {
            state.faults.clear();
            state.frozen.clear();
            state.stale = None;
        });
    }

    /// Breaks the connection of every open watch.
    pub fn cut_watches(&self) {
        self.interrupt(Interruption::Cut, "");
    }

    /// Breaks the connection of every open watch of one kind.
    ///
    /// # Panics
    /// When the kind is not served.
    #[track_caller]
    pub fn cut_watches_of(&self, kind: &str) {
        self.interrupt(Interruption::Cut, &self.kind(kind).resource());
    }

    /// Ends every open watch in good order, as servers do every few minutes.
    pub fn end_watches(&self) {
        self.interrupt(Interruption::Close, "");
    }

    /// Forgets the past: open watches get 410 Gone, and so do new ones that ask for it.
    pub fn expire_watches(&self) {
        self.heart.change(|state| {
            state.cluster.compact();
            state.interruptions.push((Interruption::Expire, String::new()));
        });
    }

    /// Watches of one kind stay open but say nothing until [`thaw_watches`](Self::thaw_watches): a
    /// half-open connection, or a slow server.
    ///
    /// # Panics
    /// When the kind is not served.
    #[track_caller]
    pub fn freeze_watches_of(&self, kind: &str) {
        let resource = self.kind(kind).resource();
        self.heart.change(|state| state.frozen.insert(resource));
    }

    /// Frozen watches deliver what they held back.
    pub fn thaw_watches(&self) {
        self.heart.change(|state| state.frozen.clear());
    }

    /// The next change of an object of this kind reaches no watch.
    ///
    /// # Panics
    /// When the kind is not served.
    #[track_caller]
    pub fn lose_next_event_of(&self, kind: &str) {
        let resource = self.kind(kind).resource();
        self.heart.change(|state| state.cluster.losing.insert(resource));
    }

    /// The current revision of the store.
    pub fn revision(&self) -> u64 {
        self.heart.look(|state| state.cluster.revision())
    }

    /// Gets and lists answer as of this revision, like a server that lags behind; writes do not.
    pub fn serve_stale_reads(&self, revision: u64) {
        self.heart.change(|state| state.stale = Some(revision));
    }

    /// Gets and lists are up to date again.
    pub fn serve_fresh_reads(&self) {
        self.heart.change(|state| state.stale = None);
    }

    fn interrupt(&self, how: Interruption, resource: &str) {
        self.heart.change(|state| state.interruptions.push((how, resource.into())));
    }
}
