//! The loop of deployments that scale: every five seconds it asks their gateways, decides, and writes `spec.replicas`.
//!
//! # Expected flow
//! [`sense`](crate::sense) → [`autoscale`](deepseek_core::decide::autoscale) → the scale subresource → what is told
//! # Guarantees
//! Only the leader asks and writes. A number is written only over the number that it was decided on: the scale is read first, and its
//! resourceVersion goes with the write. The status is not written here: a deployment of which there is news is woken, and the pass
//! of [`reconcile`](mod@crate::reconcile) tells it. A term begins without recommendations, so that nothing goes down for a whole window;
//! what the gateways remember makes up for the rest.
//! Where there is no replica because nobody asks, gateways ring as soon as somebody does: see [`bells`](crate::bells).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deepseek_core::decide::accept::accept;
use deepseek_core::decide::autoscale::told::{Told, plainly, says_asleep};
use deepseek_core::decide::autoscale::wanted::Wanted;
use deepseek_core::decide::autoscale::{PAUSED, Pass, Seen, State, Wrote};
use deepseek_core::decide::scale::Rescale;
use deepseek_core::observed::Observed;
use deepseek_core::render::REVISION_LABEL;
use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::Reason;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::reflector::Store;
use kube::{Client, Resource, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::SCALE_MANAGER;
use crate::bells::Bells;
use crate::canary::Prober;
use crate::lease::Leading;
use crate::reconcile::Context;
use crate::sense::{Ear, addresses};
use crate::wake::Waker;
use crate::watch::Guarded;
use crate::writers::{are_ours, other_writer};

/// From one pass to the next.
const PERIOD: Duration = Duration::from_secs(5);
/// Deployments that are looked at at once.
const AT_ONCE: usize = 32;
/// The decision's clock counts from a moment that is longer ago than any window.
const DAWN: Duration = Duration::from_secs(86_400);

/// What is to be told of each deployment that scales, by its UID.
#[derive(Clone, Default)]
pub struct Scalings(Arc<Mutex<HashMap<String, Arc<Told>>>>);

impl Scalings {
    /// What is to be told of this one.
    pub fn of(&self, deployment: &DeepSeekDeployment) -> Option<Arc<Told>> {
        self.lock().get(deployment.metadata.uid.as_ref()?).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Told>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scales deployments, in one term of leadership.
pub struct Scaler {
    /// The right to write, and what is seen.
    pub context: Arc<Context>,
    /// Where it leaves what is to be told.
    pub scalings: Scalings,
    /// All deployments.
    pub deployments: Store<Guarded>,
    /// Asks gateways.
    pub prober: Arc<dyn Prober>,
    /// Wakes those of which there is news.
    pub waker: Waker,
    /// Writes the scale.
    pub client: Client,
    /// Writes events.
    pub recorder: Recorder,
}

/// What is kept of one deployment.
struct Kept {
    state: State,
    ear: Ear,
    /// What was told last, and when.
    told: Option<(Arc<Told>, Duration)>,
    /// The number that we wrote, with the version it got: the store may be a moment behind.
    written: Option<(u64, i32)>,
    /// There is no replica because nobody asks: the gateways at which somebody may.
    asleep_behind: Option<Vec<String>>,
}

impl Scaler {
    /// Works for as long as it is not dropped.
    pub async fn attend(&self) {
        let begun = Instant::now();
        let mut kept = HashMap::new();
        let mut bells = Bells::new(self.prober.clone());
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = bells.ring() => {}
            }
            kept = self.round(kept, begun).await;
            bells.hang(kept.iter().filter_map(|(uid, one)| Some((uid, one.asleep_behind.as_deref()?))));
        }
    }

    /// One pass of every deployment that scales; what is kept of others is forgotten.
    async fn round(&self, mut kept: HashMap<String, Kept>, begun: Instant) -> HashMap<String, Kept> {
        let all = self.deployments.state();
        for deployment in all.iter().filter_map(|guarded| guarded.0.as_ref().ok()) {
            self.wake_orphan(deployment, &kept).await;
        }
        let scale = all.iter().filter_map(|guarded| guarded.0.as_ref().ok()).filter(|deployment| {
            deployment.spec.autoscaling.is_some() && deployment.metadata.deletion_timestamp.is_none()
        });
        let passes: Vec<_> = scale
            .map(|deployment| {
                let uid = deployment.uid().unwrap_or_default();
                let known = kept.remove(&uid);
                async move {
                    let mut one = match known {
                        Some(known) => known,
                        None => Kept::inherit(deployment, self.has_gone_to_sleep(deployment).await),
                    };
                    self.pass(deployment, &mut one, DAWN + begun.elapsed()).await;
                    (uid, one)
                }
            })
            .collect();
        let kept: HashMap<_, _> = futures::stream::iter(passes).buffer_unordered(AT_ONCE).collect().await;
        self.scalings.lock().retain(|uid, _| kept.contains_key(uid));
        kept
    }

    async fn pass(&self, deployment: &DeepSeekDeployment, kept: &mut Kept, now: Duration) {
        let observed = self.context.observer.observe(deployment, &self.context.memory);
        let wanted = match accept(&deployment.spec) {
            Ok(accepted) => accepted.autoscaling,
            Err(refusal) => {
                let message =
                    format!("The spec is refused ({}), and nothing scales until it is corrected.", refusal.reason);
                let told = Told::refused(Reason::Refused, message, deployment.spec.replicas);
                return self.tell(deployment, kept, told, None, now);
            }
        };
        let Some(wanted) = wanted else { return };
        kept.ear.listen(&*self.prober, &self.context.metrics, &observed.gateways, now).await;
        let told = self.scale(deployment, &observed, &wanted, kept, now).await;
        let asleep = kept.state.is_asleep() && deployment.spec.replicas == 0 && !deployment.spec.suspend;
        kept.asleep_behind = asleep.then(|| addresses(&observed.gateways));
        self.tell(deployment, kept, told, Some(&wanted), now);
    }

    async fn scale(
        &self,
        deployment: &DeepSeekDeployment,
        observed: &Observed,
        wanted: &Wanted,
        kept: &mut Kept,
        now: Duration,
    ) -> Told {
        let Kept { state, ear, written, .. } = kept;
        let namespace = deployment.namespace().unwrap_or_default();
        let gateways = ear.heard(&observed.gateways);
        let seen = Seen {
            now,
            time: Timestamp::now(),
            namespace: &namespace,
            replicas: newest(deployment, written),
            suspended: deployment.spec.suspend,
            paused: deployment.annotations().get(PAUSED).is_some_and(|value| value == "true"),
            gateways: &gateways,
            pods: &observed.pods,
            revision: observed.workload.as_ref().and_then(revision),
            accelerators: each(deployment),
            nodes: &observed.nodes,
        };
        let pass = state.look(wanted, &seen);
        if pass.new_rival {
            self.name_rival(deployment, state).await;
        }
        let wrote = match pass.order() {
            Some(rescale) => self.write(&self.context.leading, deployment, rescale, written).await,
            None => Wrote::Nothing,
        };
        let told = state.settle(wanted, &seen, &pass, &wrote);
        let before = kept.told.as_ref().map(|(before, _)| &**before);
        if let Some(event) = announcement(&pass, &wrote, &told, before) {
            self.publish(deployment, &event).await;
        }
        told
    }

    /// Writes the number over the one that it was decided on.
    async fn write(
        &self,
        _: &Leading,
        deployment: &DeepSeekDeployment,
        rescale: &Rescale,
        written: &mut Option<(u64, i32)>,
    ) -> Wrote {
        let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
        let api: Api<DeepSeekDeployment> = Api::namespaced(self.client.clone(), &namespace);
        let scale = match api.get_scale(&name).await {
            Ok(scale) => scale,
            Err(kube::Error::Api(status)) if status.code == 404 => return Wrote::Nothing,
            Err(error) => return Wrote::Failed(error.to_string()),
        };
        // none is left out
        let current = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        if scale.metadata.uid != deployment.metadata.uid || current != rescale.from {
            // somebody was faster: the next pass sees what is there then
            return Wrote::Nothing;
        }
        let patch = json!({
            "metadata": {"resourceVersion": scale.metadata.resource_version},
            "spec": {"replicas": rescale.to},
        });
        let params = PatchParams { field_manager: Some(SCALE_MANAGER.into()), ..PatchParams::default() };
        match api.patch_scale(&name, &params, &Patch::Merge(&patch)).await {
            Ok(scale) => {
                *written = Some((version(&scale.metadata), rescale.to));
                let direction = if rescale.to > rescale.from { "up" } else { "down" };
                self.context.metrics.rescales.with_label_values(&[direction]).inc();
                tracing::info!(
                    deployment = name,
                    namespace,
                    from = rescale.from,
                    to = rescale.to,
                    reason = rescale.reason,
                    "rescaled"
                );
                Wrote::Taken
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Wrote::Nothing,
            Err(error) => Wrote::Failed(error.to_string()),
        }
    }

    /// Whether the operator itself has left this one without a replica. The status may not tell it yet, but whose the number is, it is.
    async fn has_gone_to_sleep(&self, deployment: &DeepSeekDeployment) -> bool {
        if deployment.spec.replicas > 0 {
            return false;
        }
        if says_asleep(deployment.status.as_ref()) {
            return true;
        }
        let api: Api<DeepSeekDeployment> =
            Api::namespaced(self.client.clone(), &deployment.namespace().unwrap_or_default());
        match api.get_metadata(&deployment.name_any()).await {
            Ok(object) => are_ours(&object.metadata),
            Err(error) => {
                tracing::warn!(%error, "who has set spec.replicas to 0 is not known");
                false
            }
        }
    }

    /// Who does not scale any more gets back the replica that was taken because nobody asked.
    async fn wake_orphan(&self, deployment: &DeepSeekDeployment, kept: &HashMap<String, Kept>) {
        let slept =
            || kept.get(deployment.metadata.uid.as_deref().unwrap_or_default()).map(|one| one.state.is_asleep());
        let is_orphan = deployment.spec.autoscaling.is_none()
            && deployment.spec.replicas == 0
            && deployment.metadata.deletion_timestamp.is_none();
        if !is_orphan || !slept().unwrap_or_else(|| says_asleep(deployment.status.as_ref())) {
            return;
        }
        let reason = "spec.autoscaling is gone".to_owned();
        let rescale = Rescale { from: 0, to: 1, reason };
        if let Wrote::Taken = self.write(&self.context.leading, deployment, &rescale, &mut None).await {
            let note = format!("New size: 1; reason: {}", rescale.reason);
            let event = rescaled(EventType::Normal, "SuccessfulRescale", note);
            self.publish(deployment, &event).await;
        }
    }

    /// Asks who owns `spec.replicas` now.
    async fn name_rival(&self, deployment: &DeepSeekDeployment, state: &mut State) {
        let api: Api<DeepSeekDeployment> =
            Api::namespaced(self.client.clone(), &deployment.namespace().unwrap_or_default());
        match api.get_metadata(&deployment.name_any()).await {
            Ok(object) => {
                if let Some(name) = other_writer(&object.metadata) {
                    state.name_rival(name);
                }
            }
            Err(error) => tracing::warn!(%error, "who else writes spec.replicas is not known"),
        }
    }

    async fn publish(&self, deployment: &DeepSeekDeployment, event: &Event) {
        if let Err(error) = self.recorder.publish(event, &deployment.object_ref(&())).await {
            tracing::warn!(%error, reason = event.reason, "event not published");
        }
    }

    /// Leaves what is to be told where the next pass finds it, if there is news.
    fn tell(
        &self,
        deployment: &DeepSeekDeployment,
        kept: &mut Kept,
        told: Told,
        wanted: Option<&Wanted>,
        now: Duration,
    ) {
        let old = kept.told.as_ref().is_some_and(|(before, at)| !told.is_news(before, wanted, now.saturating_sub(*at)));
        if old {
            return;
        }
        let told = Arc::new(told);
        kept.told = Some((told.clone(), now));
        self.scalings.lock().insert(deployment.uid().unwrap_or_default(), told);
        self.waker.wake(&deployment.name_any(), &deployment.namespace().unwrap_or_default());
    }
}

impl Kept {
    fn inherit(deployment: &DeepSeekDeployment, asleep: bool) -> Self {
        let status = deployment.status.as_ref().and_then(|status| status.autoscaling.as_ref());
        let state = State::inherit(status).asleep(asleep);
        Self { state, ear: Ear::default(), told: None, written: None, asleep_behind: None }
    }
}

/// The number of the store, or ours while the store does not have it yet.
fn newest(deployment: &DeepSeekDeployment, written: &mut Option<(u64, i32)>) -> i32 {
    let seen = version(&deployment.metadata);
    written.take_if(|(at, _)| *at <= seen);
    written.map_or(deployment.spec.replicas, |(_, replicas)| replicas)
}

fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Accelerators of one replica, as they were told last.
fn each(deployment: &DeepSeekDeployment) -> Option<i32> {
    Some(deployment.status.as_ref()?.placement.as_ref()?.per_replica)
}

fn revision(workload: &Deployment) -> Option<&str> {
    let labels = workload.spec.as_ref()?.template.metadata.as_ref()?.labels.as_ref()?;
    labels.get(REVISION_LABEL).map(String::as_str)
}

/// An event is due for each write, in the HPA's words; for failures once, until one is taken; for a rival once.
fn announcement(pass: &Pass, wrote: &Wrote, told: &Told, before: Option<&Told>) -> Option<Event> {
    let says = |told: &Told, reason| told.verdicts.iter().find(|verdict| verdict.reason == reason).cloned();
    let size = |rescale: &Rescale| format!("New size: {}; reason: {}", rescale.to, plainly(&rescale.reason));
    let (type_, reason, note) = match (pass.order(), wrote) {
        (Some(rescale), Wrote::Taken) => (EventType::Normal, "SuccessfulRescale", size(rescale)),
        (Some(rescale), Wrote::Failed(why)) => {
            if before.is_some_and(|before| says(before, Reason::FailedUpdateScale).is_some()) {
                return None;
            }
            (EventType::Warning, "FailedRescale", format!("{}; error: {why}", size(rescale)))
        }
        _ if pass.new_rival => {
            let verdict = says(told, Reason::ConflictingController)?;
            (EventType::Warning, verdict.reason.as_str(), verdict.message)
        }
        _ => return None,
    };
    Some(rescaled(type_, reason, note))
}

fn rescaled(type_: EventType, reason: &str, note: String) -> Event {
    Event { type_, reason: reason.to_owned(), note: Some(note), action: "Rescale".into(), secondary: None }
}
