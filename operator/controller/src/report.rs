//! Writes the status, and an event when `Ready` has a new reason.
//!
//! Nothing is sent when nothing changed, and a transition time changes only with its status. The event follows the status: a
//! reason that could not be written is not announced.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deepseek_core::decide::autoscale::told;
use deepseek_core::facts::Facts;
use deepseek_core::observed::Observed;
use deepseek_core::plan::{Applied, Child, Outcome, Resources};
use deepseek_core::verdict::{Refusal, Verdict};
use deepseek_crds::condition::{ConditionType, Reason};
use deepseek_crds::{DeepSeekDeployment, DeepSeekDeploymentStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Api, ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, Resource, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use crate::FIELD_MANAGER;
use crate::lease::Leading;
use crate::pace::Pace;

/// Longest message of a condition and of an event's note, in bytes: the API server refuses longer events.
const LONGEST: usize = 1000;

/// No store is behind for longer, unless its watch is broken.
const BEHIND: Duration = Duration::from_secs(30);

/// What is to be said about one deployment.
#[derive(Debug)]
pub struct Report {
    now: Timestamp,
    verdicts: Vec<Verdict>,
    facts: Facts,
    /// Something was not applied, and trying again may help.
    pub transient_failure: Option<String>,
}

impl Report {
    /// Joins what was decided with what became of it.
    pub fn new(
        owner: &DeepSeekDeployment,
        observed: &Observed,
        mut verdicts: Vec<Verdict>,
        facts: Facts,
        applied: Option<&Resources<Applied>>,
    ) -> Self {
        let failed = applied.and_then(|a| a.outcomes().find_map(|(child, outcome)| explain(owner, child, outcome)));
        let transient_failure = match &failed {
            Some((refusal, true)) => Some(refusal.message.clone()),
            _ => None,
        };
        if let Some((refusal, _)) = failed {
            override_progress(&mut verdicts, &refusal);
        }
        Self { now: observed.now, verdicts, facts, transient_failure }
    }
}

/// What an outcome means for the user, and whether trying again may help by itself.
fn explain(owner: &DeepSeekDeployment, child: &Child, outcome: &Outcome) -> Option<(Refusal, bool)> {
    let (kind, name) = (format!("{:?}", child.kind), &child.name);
    match outcome {
        Outcome::Unchanged | Outcome::Written => None,
        Outcome::NameTaken => Some((
            Refusal::new(
                Reason::NameTaken,
                format!(
                    "{kind} {name:?} already exists in namespace {:?} and does not belong to this deployment. Delete or \
                     rename it, or create the deployment under another name.",
                    owner.namespace().unwrap_or_default()
                ),
            ),
            true,
        )),
        Outcome::Failed { message, transient } => Some((
            Refusal::new(Reason::ApplyFailed, format!("{kind} {name:?} was not applied: {message}.")),
            *transient,
        )),
    }
}

fn override_progress(verdicts: &mut Vec<Verdict>, refusal: &Refusal) {
    use ConditionType::{Progressing, Ready, Reconciling, Stalled};
    verdicts.retain(|v| !matches!(v.condition, Progressing | Ready | Reconciling | Stalled));
    for condition in [Progressing, Ready] {
        verdicts.push(refusal.clone().about(condition));
    }
    verdicts.push(Verdict::yes(Stalled, refusal.reason, refusal.message.clone()));
}

/// Writes status and events.
pub struct Reporter {
    client: Client,
    recorder: Recorder,
    /// What was written last, with the version it got: the store may be a moment behind.
    written: Mutex<HashMap<String, Written>>,
    pace: Pace,
}

struct Written {
    version: u64,
    status: DeepSeekDeploymentStatus,
    at: Instant,
}

impl Reporter {
    /// A reporter that writes with this client.
    pub fn new(client: Client, recorder: Recorder) -> Self {
        Self { client, recorder, written: Mutex::default(), pace: Pace::default() }
    }

    /// Writes the status if it differs, then announces a new reason of `Ready`; or says how long that may wait.
    ///
    /// # Errors
    /// When the API server does not take the status.
    pub async fn report(
        &self,
        leading: &Leading,
        owner: &DeepSeekDeployment,
        report: &Report,
    ) -> Result<Option<Duration>, kube::Error> {
        let before = self.newest_status(owner);
        let status = status(owner, report, &before);
        if status == before {
            return Ok(None);
        }
        let uid = owner.uid().unwrap_or_default();
        if let Some(wait) = self.pace.wait(&uid, &before, &status) {
            return Ok(Some(wait));
        }
        let Some(version) = self.write(leading, &owner.metadata, &status).await? else { return Ok(None) };
        self.pace.written(uid);
        let news = announcement(&before, &status);
        self.remember(owner, version, status);
        if let Some(event) = news {
            self.publish(leading, owner, &event).await;
        }
        Ok(None)
    }

    /// Writes the one thing that can be said of an object that cannot be read. No store has its status, so it is asked for: a
    /// status that was written once would otherwise be written with every pass, and wake the next one.
    ///
    /// # Errors
    /// When the API server cannot be asked, or does not take the status.
    pub async fn report_undecodable(
        &self,
        _: &Leading,
        metadata: &ObjectMeta,
        refusal: Refusal,
    ) -> Result<(), kube::Error> {
        let name = metadata.name.as_deref().unwrap_or_default();
        let Some(stored) = self.api(metadata).get_opt(name).await? else { return Ok(()) };
        let before = stored_conditions(&stored);
        let now = Timestamp::now();
        let verdicts = [ConditionType::Accepted, ConditionType::Ready].map(|c| refusal.clone().about(c));
        let conditions: Vec<_> = verdicts.iter().map(|v| condition(v, metadata.generation, now, &before)).collect();
        if conditions == before {
            return Ok(());
        }
        // a merge, because the API server cannot apply to an object that breaks its own schema (it answers 500)
        let body = json!({"metadata": {"uid": metadata.uid}, "status": {"conditions": conditions}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        self.api(metadata).patch_status(name, &params, &Patch::Merge(&body)).await.map(|_| ())
    }

    /// Untyped: an object that cannot be read can still be told so.
    fn api(&self, metadata: &ObjectMeta) -> Api<DynamicObject> {
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<DeepSeekDeployment>(&()))
    }

    /// Returns the version that was written; `None` when there is nobody left to tell.
    async fn write(
        &self,
        _: &Leading,
        metadata: &ObjectMeta,
        status: &DeepSeekDeploymentStatus,
    ) -> Result<Option<u64>, kube::Error> {
        let name = metadata.name.as_deref().unwrap_or_default();
        let body = json!({
            "apiVersion": DeepSeekDeployment::api_version(&()),
            "kind": DeepSeekDeployment::kind(&()),
            // the UID: a status must not land on a namesake that was made meanwhile, which the API server answers with 409
            "metadata": {"name": name, "uid": metadata.uid},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match self.api(metadata).patch_status(name, &params, &Patch::Apply(&body)).await {
            Ok(object) => Ok(Some(version(object.metadata.resource_version.as_deref()))),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn publish(&self, _: &Leading, owner: &DeepSeekDeployment, event: &Event) {
        if let Err(error) = self.recorder.publish(event, &owner.object_ref(&())).await {
            tracing::warn!(%error, reason = event.reason, "event not published");
        }
    }

    fn newest_status(&self, owner: &DeepSeekDeployment) -> DeepSeekDeploymentStatus {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = owner.uid().unwrap_or_default();
        let stored = owner.status.clone().unwrap_or_default();
        match written.get(&uid) {
            Some(newer) if newer.version > version(owner.metadata.resource_version.as_deref()) => newer.status.clone(),
            Some(_) => {
                written.remove(&uid);
                stored
            }
            None => stored,
        }
    }

    fn remember(&self, owner: &DeepSeekDeployment, version: u64, status: DeepSeekDeploymentStatus) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // of a deployment that was deleted meanwhile nobody asks again
        written.retain(|_, written| written.at.elapsed() < BEHIND);
        written.insert(owner.uid().unwrap_or_default(), Written { version, status, at: Instant::now() });
    }
}

fn stored_conditions(object: &DynamicObject) -> Vec<Condition> {
    let conditions = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    serde_json::from_value(conditions).unwrap_or_default()
}

fn version(text: Option<&str>) -> u64 {
    text.and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn status(owner: &DeepSeekDeployment, report: &Report, before: &DeepSeekDeploymentStatus) -> DeepSeekDeploymentStatus {
    let Facts { replicas, ready_replicas, ready, selector, endpoint, model, placement, autoscaling } =
        report.facts.clone();
    let generation = owner.metadata.generation;
    let mut conditions: Vec<_> =
        report.verdicts.iter().map(|verdict| condition(verdict, generation, report.now, &before.conditions)).collect();
    // a new leader has not decided yet; what its predecessor has said still holds
    let undecided = autoscaling.is_none() && owner.spec.autoscaling.is_some();
    let about_scaling = |found: &&Condition| told::CONDITIONS.iter().any(|known| known.as_str() == found.type_);
    conditions.extend(before.conditions.iter().filter(|_| undecided).filter(about_scaling).cloned());
    let autoscaling = if undecided { before.autoscaling.clone() } else { autoscaling };
    DeepSeekDeploymentStatus {
        observed_generation: generation,
        replicas: Some(replicas),
        ready_replicas: Some(ready_replicas),
        ready: Some(ready),
        selector: Some(selector),
        endpoint: endpoint.or_else(|| before.endpoint.clone()),
        model: model.or_else(|| before.model.clone()),
        placement: placement.or_else(|| before.placement.clone()),
        autoscaling,
        conditions,
    }
}

/// One condition; its transition time is that of the last change of its status.
fn condition(verdict: &Verdict, generation: Option<i64>, now: Timestamp, before: &[Condition]) -> Condition {
    let same = before.iter().find(|c| c.type_ == verdict.condition.as_str() && c.status == verdict.status());
    // the API keeps whole seconds
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        type_: verdict.condition.to_string(),
        status: verdict.status().to_owned(),
        reason: verdict.reason.to_string(),
        message: shortened(&verdict.message),
        observed_generation: generation,
        last_transition_time: same.map_or(Time(now), |c| c.last_transition_time.clone()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// An event is due when `Ready` has another reason than before, except for the steps in between. That only some replicas answer is
/// news after all of them did; before, more are on their way.
fn announcement(before: &DeepSeekDeploymentStatus, after: &DeepSeekDeploymentStatus) -> Option<Event> {
    let ready = |status: &DeepSeekDeploymentStatus| {
        status.conditions.iter().find(|c| c.type_ == ConditionType::Ready.as_str()).cloned()
    };
    let now = ready(after)?;
    let then = ready(before);
    let was_ready = then.as_ref().is_some_and(|then| then.status == "True");
    let on_the_way = [Reason::Starting, Reason::RollingOut].iter().any(|r| r.as_str() == now.reason)
        || !was_ready && now.reason == Reason::SomeReplicasAnswer.as_str();
    if on_the_way || then.is_some_and(|then| then.reason == now.reason) {
        return None;
    }
    let wanted = [Reason::Suspended, Reason::ScaledToZero].iter().any(|r| r.as_str() == now.reason);
    Some(Event {
        type_: if now.status == "True" || wanted { EventType::Normal } else { EventType::Warning },
        reason: now.reason,
        note: Some(now.message),
        action: "Reconcile".into(),
        secondary: None,
    })
}

/// The same recorder for every pass.
pub fn recorder(client: Client, identity: &str) -> Recorder {
    let reporter =
        kube::runtime::events::Reporter { controller: FIELD_MANAGER.into(), instance: Some(identity.to_owned()) };
    Recorder::new(client, reporter)
}
