//! One pass over one deployment: observe → plan → apply → report.

use std::sync::Arc;
use std::time::Duration;

use deepseek_core::plan::plan;
use deepseek_core::verdict::Refusal;
use deepseek_crds::condition::Reason;
use kube::ResourceExt;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use thiserror::Error;

use crate::apply::Applier;
use crate::lease::Leading;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::report::{Report, Reporter};
use crate::watch::Guarded;

/// Nothing is awaited, but a look now and then mends what a lost event left.
const HEARTBEAT: Duration = Duration::from_secs(600);

/// Everything that a pass needs.
pub struct Context {
    /// The right to write.
    pub leading: Arc<Leading>,
    /// Sees.
    pub observer: Observer,
    /// Writes objects.
    pub applier: Applier,
    /// Writes status and events.
    pub reporter: Reporter,
    /// What was written last.
    pub memory: Arc<Memory>,
    /// How often passes failed in a row.
    pub attempts: Attempts,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Why a pass is made again.
#[derive(Debug, Error)]
pub enum Error {
    /// The status could not be written.
    #[error("status not written: {0}")]
    Report(#[from] kube::Error),
    /// An object could not be written.
    #[error("not everything was applied: {0}")]
    Apply(String),
    /// An object could not be deleted.
    #[error("not everything was swept: {0}")]
    Sweep(String),
    /// A Pod on a lost node could not be removed.
    #[error("not every Pod on a lost node was removed: {0}")]
    Remove(String),
}

/// Brings one deployment a step closer to its spec.
///
/// # Expected flow
/// observe → plan → apply → report
/// # Guarantees
/// Idempotent; the status is written even when applying fails.
/// # Errors
/// Only what talks to the API server fails; a spec that cannot be served is a verdict.
pub async fn reconcile(object: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, Error> {
    let deployment = match &object.0 {
        Ok(deployment) => deployment,
        Err(invalid) => return undecodable(&ctx, invalid).await,
    };
    if deployment.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = deployment.namespace().unwrap_or_default();
    let _timer = ctx.metrics.reconcile_seconds.start_timer();
    let observed = ctx.observer.observe(deployment, &ctx.memory);
    let plan = plan(deployment, &observed);
    let (verdicts, facts, removals) = (plan.verdicts, plan.facts, plan.removals);
    let (applied, left) = match plan.resources {
        Some(planned) => {
            let (applied, left) = ctx.applier.apply(&ctx.leading, deployment, &ctx.memory, planned).await;
            (Some(applied), left)
        }
        None => (None, Vec::new()),
    };
    let stuck = ctx.applier.remove(&ctx.leading, &namespace, &removals).await;
    let report = Report::new(deployment, &observed, verdicts, facts, applied.as_ref());
    let again = ctx.reporter.report(&ctx.leading, deployment, &report).await?;
    match report.transient_failure {
        Some(message) => Err(Error::Apply(message)),
        None if !left.is_empty() => Err(Error::Sweep(left.join("; "))),
        None if !stuck.is_empty() => Err(Error::Remove(stuck.join("; "))),
        None => Ok(Action::requeue(again.unwrap_or(HEARTBEAT))),
    }
}

/// One object that cannot be read must not blind the operator to the others; what runs for it stays.
async fn undecodable(ctx: &Context, invalid: &InvalidObject) -> Result<Action, Error> {
    let refusal = Refusal::new(
        Reason::Undecodable,
        format!("The stored object cannot be read: {}. Apply a corrected manifest.", invalid.error),
    );
    ctx.reporter.report_undecodable(&ctx.leading, &invalid.metadata, refusal).await?;
    Ok(Action::await_change())
}

/// Failed passes in a row, by deployment.
#[derive(Default)]
pub struct Attempts(std::sync::Mutex<std::collections::HashMap<String, u32>>);

impl Attempts {
    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A pass succeeded.
    pub fn clear(&self, object: &Guarded) {
        self.lock().remove(&key(object));
    }

    /// How long to wait after one more failure: 1 s, doubled each time up to 5 min, and up to a quarter more so that many
    /// deployments do not come back in step.
    pub fn delay(&self, object: &Guarded) -> Duration {
        let key = key(object);
        let mut attempts = self.lock();
        let count = attempts.entry(key.clone()).or_default();
        let wait = Duration::from_secs(1 << (*count).min(8)).min(Duration::from_secs(300));
        *count = count.saturating_add(1);
        wait + wait.mul_f64(spread(&key, *count) / 4.0)
    }
}

fn key(object: &Guarded) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// A number in 0..1 that differs between deployments and attempts.
fn spread(key: &str, attempt: u32) -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let hash = RandomState::new().hash_one((key, attempt));
    f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// After a failure: again, later each time.
#[expect(clippy::needless_pass_by_value, reason = "the form that the runtime asks for")]
pub fn after_error(object: Arc<Guarded>, error: &Error, ctx: Arc<Context>) -> Action {
    let delay = ctx.attempts.delay(&object);
    tracing::warn!(deployment = key(&object), %error, retry_in = ?delay, "pass failed");
    Action::requeue(delay)
}
