//! Watches: the past from a revision on, then the present as it happens.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use futures::stream::{self, Stream};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout_at};

use super::call::{Call, Target};
use super::verbs;
use crate::cluster::{Change, Key};
use crate::refusal::{self, Answer, expired};
use crate::state::{Heart, Interruption, State};

type Wanted = Box<dyn Fn(&Key, &Value) -> bool + Send>;

/// One open watch.
pub(super) struct Watch {
    heart: Arc<Heart>,
    bell: watch::Receiver<u64>,
    call: Call,
    target: Target,
    wanted: Wanted,
    backlog: VecDeque<Value>,
    /// Position in the history of the next change to look at.
    position: usize,
    /// Changes up to this revision are known to the client.
    known: u64,
    /// How many interruptions there were before this watch.
    interrupted: usize,
    deadline: Instant,
    over: bool,
}

enum Next {
    Line(Value),
    Broken,
    Over,
    Later,
}

impl Watch {
    pub(super) fn open(heart: &Arc<Heart>, state: &State, call: Call, target: Target) -> Answer<Self> {
        let wanted = Box::new(verbs::wanted(&call, &target)?);
        let limit = call.query("timeoutSeconds").parse().unwrap_or(1800);
        let mut watch = Self {
            heart: Arc::clone(heart),
            bell: heart.listen(),
            wanted,
            backlog: VecDeque::new(),
            position: usize::MAX,
            known: 0,
            interrupted: state.interruptions.len(),
            deadline: Instant::now() + Duration::from_secs(limit),
            over: false,
            call,
            target,
        };
        watch.begin(state)?;
        Ok(watch)
    }

    /// Where to start: with all there is, or with what came after the client's revision.
    fn begin(&mut self, state: &State) -> Answer<()> {
        let (cluster, from) = (&state.cluster, self.call.query("resourceVersion").to_owned());
        let initial = self.call.query("sendInitialEvents") == "true";
        self.position = cluster.position_after(cluster.revision());
        if initial && self.call.query("resourceVersionMatch") != "NotOlderThan" {
            let message = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            return Err(refusal::invalid(message));
        }
        if initial || from.is_empty() || from == "0" {
            for (key, object) in cluster.all_of(&self.target.kind.resource()) {
                if (self.wanted)(&key, &object) {
                    let event = self.event("ADDED", (*object).clone());
                    self.backlog.push_back(event);
                }
            }
            if initial {
                self.backlog.push_back(self.bookmark(cluster.revision()));
            }
            return Ok(());
        }
        self.known = from.parse().map_err(|_| refusal::invalid("resourceVersion: Invalid value"))?;
        self.position = cluster.position_after(self.known);
        if self.known < cluster.oldest() {
            self.backlog.push_back(gone());
            self.position = usize::MAX;
        }
        Ok(())
    }

    /// The body of the response: one line of JSON for each event.
    pub(super) fn lines(self) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
        stream::unfold(self, |mut watch| async move {
            let line = watch.next().await?;
            Some((line, watch))
        })
    }

    async fn next(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        while !self.over {
            self.bell.borrow_and_update();
            let heart = Arc::clone(&self.heart);
            match heart.look(|state| self.look(state)) {
                Next::Line(event) => return Some(Ok(line(&event))),
                Next::Broken => {
                    self.over = true;
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Next::Over => return None,
                Next::Later => {
                    if timeout_at(self.deadline, self.bell.changed()).await.is_err() {
                        return None;
                    }
                }
            }
        }
        None
    }

    fn look(&mut self, state: &State) -> Next {
        if state.faults.is_dead(&self.call.user) {
            return Next::Broken;
        }
        if let Some(end) = self.interruption(state) {
            return end;
        }
        if state.frozen.contains(&self.target.kind.resource()) {
            return Next::Later;
        }
        if let Some(event) = self.backlog.pop_front() {
            self.over = event["type"] == "ERROR";
            return Next::Line(event);
        }
        for change in state.cluster.history(self.position) {
            self.position += 1;
            if let Some(event) = self.shown(change) {
                return Next::Line(event);
            }
        }
        Next::Later
    }

    fn interruption(&mut self, state: &State) -> Option<Next> {
        let ours =
            |(_, resource): &&(Interruption, String)| resource.is_empty() || *resource == self.target.kind.resource();
        let (how, _) = state.interruptions[self.interrupted..].iter().find(ours)?;
        Some(match how {
            Interruption::Cut => Next::Broken,
            Interruption::Close => Next::Over,
            Interruption::Expire => {
                self.over = true;
                Next::Line(gone())
            }
        })
    }

    /// A change as this watch shows it: what leaves the selection counts as deleted.
    fn shown(&self, change: &Change) -> Option<Value> {
        let ours = change.key.resource == self.target.kind.resource();
        if !ours || change.hidden || change.revision <= self.known {
            return None;
        }
        let within = |object: &Option<Arc<Value>>| {
            object.as_ref().filter(|object| (self.wanted)(&change.key, object)).map(|object| (**object).clone())
        };
        match (within(&change.before), within(&change.after)) {
            (None, Some(now)) => Some(self.event("ADDED", now)),
            (Some(_), Some(now)) => Some(self.event("MODIFIED", now)),
            (Some(mut last), None) => {
                last["metadata"]["resourceVersion"] = json!(change.revision.to_string());
                Some(self.event("DELETED", last))
            }
            (None, None) => None,
        }
    }

    fn event(&self, what: &str, object: Value) -> Value {
        json!({"type": what, "object": verbs::seen(&self.call, &self.target.kind, object)})
    }

    fn bookmark(&self, revision: u64) -> Value {
        let kind = &self.target.kind;
        let object = json!({
            "kind": kind.kind, "apiVersion": kind.api_version(),
            "metadata": {
                "resourceVersion": revision.to_string(), "creationTimestamp": null,
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        });
        self.event("BOOKMARK", object)
    }
}

fn gone() -> Value {
    json!({"type": "ERROR", "object": refusal::body(&expired())})
}

fn line(event: &Value) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("{event}\n")))
}
