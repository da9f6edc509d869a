//! What one request was, from its arrival to its end: counted once, logged once, whatever becomes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::keys::Holder;
use crate::metrics::Metrics;
use crate::route::Route;
use crate::said::Said;
use crate::trace::{Begun, Outcome};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The whole answer was passed on.
    Completed,
    /// The gateway answered itself.
    Refused,
    /// The engine broke off after the answer had begun.
    Lost,
    /// The client went away.
    Cancelled,
}

impl Ending {
    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The account of one request. Dropped without an ending, the client has gone.
#[derive(Debug)]
pub struct Account {
    /// Its id, as the client is told it.
    pub id: String,
    /// What it asks for.
    pub route: Route,
    /// Who asks.
    pub holder: Option<Arc<Holder>>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Where it ran last.
    pub replica: Option<String>,
    /// What was said.
    pub said: Said,
    /// Its span, where traces are collected.
    pub span: Option<Box<Begun>>,
    arrived: Instant,
    waited: Duration,
    first: Option<Instant>,
    last: Option<Instant>,
    logged: bool,
    metrics: Arc<Metrics>,
    /// It asks for capacity.
    demands: bool,
    ended: bool,
}

impl Account {
    /// A request has arrived.
    pub fn open(id: String, route: Route, logged: bool, metrics: &Arc<Metrics>) -> Self {
        metrics.arrived(route);
        Self {
            id,
            route,
            holder: None,
            status: 0,
            replica: None,
            said: Said::default(),
            span: None,
            arrived: Instant::now(),
            waited: Duration::ZERO,
            first: None,
            last: None,
            logged,
            metrics: metrics.clone(),
            demands: false,
            ended: false,
        }
    }

    /// It is understood, and asks for a place on a replica: once, however often it is tried.
    pub fn accepted(&mut self) {
        if self.route.infers && !std::mem::replace(&mut self.demands, true) {
            self.metrics.load.arrived();
        }
    }

    /// It has a place on a replica.
    pub fn placed(&mut self) {
        self.waited = self.arrived.elapsed();
        self.metrics.queue_seconds.observe(self.waited.as_secs_f64());
    }

    /// It is tried again; what was said before does not count.
    pub fn retried(&mut self, why: &str) {
        self.said = Said::default();
        self.metrics.retries.with_label_values(&[why]).inc();
    }

    /// Something of the answer has come.
    pub fn heard(&mut self, now: Instant) {
        match self.last {
            None => {
                self.first = Some(now);
                if self.route.infers {
                    self.metrics.first_byte_seconds.observe(now.duration_since(self.arrived).as_secs_f64());
                }
            }
            Some(last) if self.route.infers => {
                self.metrics.between_seconds.observe(now.duration_since(last).as_secs_f64());
            }
            Some(_) => {}
        }
        self.last = Some(now);
    }

    /// It is over.
    pub fn close(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.demands {
            self.metrics.load.ended(ending, self.status);
        }
        let usage = self.said.usage;
        let (read, made) = usage.map_or((0, self.said.pieces), |usage| (usage.prompt_tokens, usage.completion_tokens));
        self.metrics.ended(self.route, ending, self.status, self.arrived.elapsed(), read, made);
        if let Some(cached) = usage.and_then(|usage| usage.prompt_tokens_details?.cached_tokens) {
            self.metrics.cached_tokens.inc_by(cached);
        }
        if let Some(tokens) = self.holder.as_ref().and_then(|holder| holder.tokens.as_ref()) {
            tokens.charge(read + made, Instant::now());
        }
        if self.logged {
            self.log(ending, read, made);
        }
        if let Some(span) = self.span.take()
            && !span.end(self.outcome(ending, read, made))
        {
            self.metrics.spans.with_label_values(&["dropped"]).inc();
        }
    }

    fn outcome(&self, ending: Ending, read: u64, made: u64) -> Outcome {
        Outcome {
            request_id: self.id.clone(),
            route: self.route.name,
            status: self.status,
            ending,
            replica: self.replica.clone(),
            took: self.arrived.elapsed(),
            waited: self.waited,
            first: self.first.map(|first| first.duration_since(self.arrived)),
            read,
            made,
        }
    }

    fn log(&self, ending: Ending, read: u64, made: u64) {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            request_id = self.id,
            route = self.route.name,
            client = self.holder.as_ref().map(|holder| holder.name.as_str()),
            replica = self.replica,
            status = self.status,
            ending = ending.name(),
            queue_ms = ms(self.waited),
            first_byte_ms = self.first.map(|first| ms(first.duration_since(self.arrived))),
            total_ms = ms(self.arrived.elapsed()),
            prompt_tokens = read,
            completion_tokens = made,
        );
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close(Ending::Cancelled);
    }
}
