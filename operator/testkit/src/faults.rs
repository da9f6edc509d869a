//! Faults: what goes wrong, and at which request.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::journal::Record;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses with this code; nothing was applied.
    Error(u16),
    /// The request was applied, yet the client sees this code.
    ErrorAfterApply(u16),
    /// The connection breaks before the request arrives.
    Drop,
    /// The request was applied, then the connection broke: the response is lost.
    DropAfterApply,
    /// No answer ever comes; nothing was applied.
    Hang,
    /// The request was applied, but no answer ever comes.
    HangAfterApply,
    /// The client process dies at this request: it and all later ones of that client fail, until
    /// [`World::revive`](crate::World::revive).
    Crash {
        /// Whether the request still reached the server.
        applied: bool,
    },
}

impl Fault {
    /// Whether the server carries the request out in spite of the fault.
    pub(crate) fn applies(self) -> bool {
        matches!(
            self,
            Self::ErrorAfterApply(_) | Self::DropAfterApply | Self::HangAfterApply | Self::Crash { applied: true }
        )
    }
}

/// Which request a fault waits for. Every condition given must hold.
#[derive(Clone, Debug, Default)]
pub struct When {
    number: Option<u64>,
    verb: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
    name: Option<String>,
    user: Option<String>,
    occurrence: Occurrence,
}

#[derive(Clone, Copy, Debug, Default)]
enum Occurrence {
    #[default]
    First,
    Nth(u64),
    Every(u64),
}

impl When {
    /// Any request.
    pub fn any() -> Self {
        Self::default()
    }

    /// The request with this number (see [`World::count_only`](crate::World::count_only)).
    pub fn request(number: u64) -> Self {
        Self { number: Some(number), ..Self::default() }
    }

    /// A request with this verb: get, list, watch, create, update, patch, delete, deletecollection.
    pub fn verb(verb: &str) -> Self {
        Self { verb: Some(verb.into()), ..Self::default() }
    }

    /// … of this resource, by its plural name.
    #[must_use]
    pub fn of(self, resource: &str) -> Self {
        Self { resource: Some(resource.into()), ..self }
    }

    /// … through this subresource (`status`, `scale`; empty for the object itself).
    #[must_use]
    pub fn through(self, subresource: &str) -> Self {
        Self { subresource: Some(subresource.into()), ..self }
    }

    /// … of the object with this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// … sent by this user.
    #[must_use]
    pub fn by(self, user: &str) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// … the n-th such request from now on, counting from 1. Without this: the first.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { occurrence: Occurrence::Nth(n), ..self }
    }

    /// … every n-th such request from now on, for ever; `every(4)` fails a quarter of all calls.
    #[must_use]
    pub fn every(self, n: u64) -> Self {
        Self { occurrence: Occurrence::Every(n.max(1)), ..self }
    }

    /// … each such request from now on, for ever.
    #[must_use]
    pub fn always(self) -> Self {
        self.every(1)
    }

    fn fits(&self, record: &Record) -> bool {
        let same = |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|w| w == actual);
        self.number.is_none_or(|number| record.number == Some(number))
            && same(&self.verb, &record.verb)
            && same(&self.resource, &record.resource)
            && same(&self.subresource, &record.subresource)
            && same(&self.name, &record.name)
            && same(&self.user, &record.user)
    }
}

/// Tells a test that a fault happened.
#[derive(Clone, Debug)]
pub struct Alarm(watch::Receiver<bool>);

impl Alarm {
    /// Whether the fault has happened.
    pub fn has_rung(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the fault happens; for ever if it never does.
    pub async fn rung(&self) {
        let mut heard = self.0.clone();
        if heard.wait_for(|rung| *rung).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Planned {
    when: When,
    fault: Fault,
    seen: u64,
    spent: bool,
    bell: watch::Sender<bool>,
}

/// All faults to come, and the clients which are dead.
#[derive(Default)]
pub(crate) struct Faults {
    planned: Vec<Planned>,
    dead: BTreeSet<String>,
}

impl Faults {
    pub(crate) fn plan(&mut self, when: When, fault: Fault) -> Alarm {
        let (bell, alarm) = watch::channel(false);
        self.planned.push(Planned { when, fault, seen: 0, spent: false, bell });
        Alarm(alarm)
    }

    /// The fault which this request meets, if any: the first planned one that is due.
    pub(crate) fn meet(&mut self, record: &Record) -> Option<Fault> {
        let mut met = None;
        for planned in self.planned.iter_mut().filter(|p| !p.spent && p.when.fits(record)) {
            planned.seen += 1;
            let due = match planned.when.occurrence {
                Occurrence::First => true,
                Occurrence::Nth(n) => planned.seen == n,
                Occurrence::Every(n) => planned.seen.is_multiple_of(n),
            };
            if due && met.is_none() {
                planned.spent = !matches!(planned.when.occurrence, Occurrence::Every(_));
                planned.bell.send_replace(true);
                met = Some(planned.fault);
            }
        }
        if let Some(Fault::Crash { .. }) = met {
            self.dead.insert(record.user.clone());
        }
        met
    }

    pub(crate) fn is_dead(&self, user: &str) -> bool {
        self.dead.contains(user)
    }

    pub(crate) fn revive(&mut self) {
        self.dead.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.planned.clear();
        self.dead.clear();
    }
}
