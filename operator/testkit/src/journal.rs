//! The log of all requests, and what tests count in it.

use serde_json::Value;

/// One request, with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its number among the counted requests, from 1; none if it is not counted.
    pub number: Option<u64>,
    /// Who sent it (see [`World::client_as`](crate::World::client_as)).
    pub user: String,
    /// Verb, as RBAC names it: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Resource, by its plural name.
    pub resource: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
    /// Namespace; empty for cluster-wide requests.
    pub namespace: String,
    /// Name of the object; empty for collections.
    pub name: String,
    /// Field manager, where the request names one.
    pub manager: Option<String>,
    /// The query, as sent.
    pub query: String,
    /// The body, if it is JSON.
    pub body: Option<Value>,
    /// The code the client saw; none if it saw no answer.
    pub code: Option<u16>,
    /// Whether the store changed.
    pub changed: bool,
}

impl Record {
    /// Whether the request may change something.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    /// Whether the request opened a watch.
    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }

    /// Whether the request concerns a Lease.
    pub fn is_lease(&self) -> bool {
        self.resource == "leases"
    }

    /// Whether it concerns what no actor looks at: Leases and Events.
    pub(crate) fn is_mere_talk(&self) -> bool {
        self.is_lease() || self.resource == "events"
    }

    /// One line for people: `patch deployments/chat in ai by operator: 200`.
    pub fn spoken(&self) -> String {
        let door = if self.subresource.is_empty() { String::new() } else { format!("/{}", self.subresource) };
        let place = if self.namespace.is_empty() { String::new() } else { format!(" in {}", self.namespace) };
        let code = self.code.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
        format!("{} {}/{}{door}{place} by {}: {code}", self.verb, self.resource, self.name, self.user)
    }
}

/// A place in the log, to count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub(crate) usize);

type Filter = Box<dyn Fn(&Record) -> bool + Send>;

/// All requests so far.
pub(crate) struct Journal {
    records: Vec<Record>,
    counted: u64,
    filter: Filter,
}

impl Default for Journal {
    fn default() -> Self {
        let filter = |record: &Record| !record.is_watch() && !record.is_lease();
        Self { records: Vec::new(), counted: 0, filter: Box::new(filter) }
    }
}

impl Journal {
    /// Counts anew, from 1, what `filter` accepts.
    pub(crate) fn count_only(&mut self, filter: impl Fn(&Record) -> bool + Send + 'static) {
        self.filter = Box::new(filter);
        self.counted = 0;
    }

    /// Enters a request and gives it its number; returns its place.
    pub(crate) fn enter(&mut self, mut record: Record) -> usize {
        if (self.filter)(&record) {
            self.counted += 1;
            record.number = Some(self.counted);
        }
        self.records.push(record);
        self.records.len() - 1
    }

    /// Enters a request which is not counted: its client is dead.
    pub(crate) fn note(&mut self, record: Record) {
        self.records.push(record);
    }

    pub(crate) fn at(&self, place: usize) -> &Record {
        &self.records[place]
    }

    pub(crate) fn close(&mut self, place: usize, code: Option<u16>, changed: bool) {
        let record = &mut self.records[place];
        record.code = code;
        record.changed = changed;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.records.len())
    }

    pub(crate) fn since(&self, mark: Mark) -> &[Record] {
        &self.records[mark.0.min(self.records.len())..]
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }
}
