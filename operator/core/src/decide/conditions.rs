//! What is true of a deployment right now, and why: every condition of the status, from what was decided and what was seen.
//!
//! `Available` and `Ready` rest on the operator's own canary, never on the readiness of Pods alone. A message changes only
//! when what it tells has changed: counts that move with the neighbours do not belong in it.

use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::ConditionType::{
    Accepted as IsAccepted, Available, GatewayReady, Placed, Progressing, Ready, Reconciling, Stalled, WeightsReady,
};
use deepseek_crds::condition::{ConditionType, Reason};
use deepseek_crds::v1alpha1::ModelSource;

use crate::decide::accept::Accepted;
use crate::decide::autoscale::told::says_asleep;
use crate::decide::node_loss::NodeState;
use crate::decide::place::Placement;
use crate::decide::reach::{gateway_ready, nodes_reachable};
use crate::decide::trouble::{sentence, trouble};
use crate::observed::{Claim, Observed, Pod, Trouble};
use crate::render::service::endpoint;
use crate::verdict::{Refusal, Verdict};

/// All that conditions are about.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The deployment.
    pub owner: &'a DeepSeekDeployment,
    /// What was seen.
    pub observed: &'a Observed,
    /// The spec with its defaults, unless it was refused.
    pub accepted: Option<&'a Accepted<'a>>,
    /// Where it runs, unless there is no place.
    pub placement: Option<&'a Placement>,
    /// Why it was refused, or has no place.
    pub refusal: Option<(ConditionType, Refusal)>,
    /// The revision that Pods should have.
    pub revision: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// Nothing is decided yet.
    pub fn of(owner: &'a DeepSeekDeployment, observed: &'a Observed) -> Self {
        Self { owner, observed, accepted: None, placement: None, refusal: None, revision: None }
    }

    /// Replicas wanted now.
    pub fn wanted(&self) -> i32 {
        if self.owner.spec.suspend { 0 } else { self.owner.spec.replicas }
    }

    /// Pods that are not on their way out.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.observed.pods.iter().filter(|pod| !pod.terminating)
    }

    fn is_current(&self, pod: &Pod) -> bool {
        self.revision.is_none_or(|revision| revision == pod.revision)
    }

    /// Replicas of the revision that should run; of any when nothing is decided.
    pub fn existing(&self) -> usize {
        self.pods().filter(|pod| self.is_current(pod)).count()
    }

    /// Replicas that answered the canary, of whatever revision: they serve clients.
    pub fn serving(&self) -> usize {
        self.pods().filter(|pod| self.serves(pod)).count()
    }

    fn current_and_serving(&self) -> usize {
        self.pods().filter(|pod| self.is_current(pod) && self.serves(pod)).count()
    }

    /// What was answered before its node fell silent counts no more.
    fn serves(&self, pod: &Pod) -> bool {
        pod.serves() && self.observed.state_of(pod) == NodeState::Answers
    }

    /// No replica of another revision is left but those that finish their last answers, and none of this one is missing.
    fn is_rolled_out(&self) -> bool {
        let exact = usize::try_from(self.wanted()).is_ok_and(|wanted| self.existing() == wanted);
        self.revision.is_some() && exact && self.pods().all(|pod| self.is_current(pod))
    }

    fn idle(&self) -> Option<(Reason, &'static str)> {
        if self.owner.spec.suspend {
            return Some((Reason::Suspended, "spec.suspend is true: no replica runs. Set it to false to serve again."));
        }
        let message = if self.sleeps() {
            "No replica runs, because nobody asks; the next request starts one."
        } else {
            "spec.replicas is 0: no replica runs. Raise it to serve again."
        };
        (self.wanted() == 0).then_some((Reason::ScaledToZero, message))
    }

    /// No replica runs because nobody asks; the status says it until the autoscaler has looked.
    fn sleeps(&self) -> bool {
        let told = || says_asleep(self.owner.status.as_ref());
        let asleep = self.observed.scaling.as_ref().map_or_else(told, |scaling| scaling.is_asleep());
        self.wanted() == 0 && self.owner.spec.autoscaling.is_some() && asleep
    }
}

/// Every condition, in the order of [`ConditionType::KNOWN`].
pub fn conditions(subject: &Subject<'_>) -> Vec<Verdict> {
    let gateway = gateway_ready(subject);
    let mut verdicts = vec![accepted(subject), placed(subject), weights_ready(subject)];
    verdicts.push(available(subject, gateway.as_ref()));
    verdicts.extend(gateway);
    verdicts.push(progressing(subject));
    let ready = ready(subject, &verdicts);
    verdicts.extend(nodes_reachable(subject));
    verdicts.extend(reconciling_or_stalled(&ready, &verdicts));
    verdicts.push(ready);
    verdicts.extend(subject.observed.scaling.iter().flat_map(|scaling| scaling.verdicts.iter().cloned()));
    verdicts
}

fn accepted(subject: &Subject<'_>) -> Verdict {
    match &subject.refusal {
        Some((IsAccepted, refusal)) => refusal.clone().about(IsAccepted),
        _ => Verdict::yes(IsAccepted, Reason::Valid, "The spec is understood."),
    }
}

fn placed(subject: &Subject<'_>) -> Verdict {
    if let Some((reason, message)) = subject.idle() {
        return Verdict::no(Placed, reason, message);
    }
    match (&subject.refusal, subject.placement) {
        (Some((Placed, refusal)), _) => refusal.clone().about(Placed),
        (_, Some(placement)) => crowded(subject, placement).unwrap_or_else(|| fits(placement)),
        _ => Verdict::unknown(Placed, Reason::Refused, "Not looked for: the spec is refused."),
    }
}

fn fits(placement: &Placement) -> Verdict {
    Verdict::yes(Placed, Reason::Fits, format!("{}.", each_replica(placement)))
}

fn each_replica(placement: &Placement) -> String {
    match placement.accelerator {
        Some(entry) => format!("Each replica gets {} × {}", placement.per_replica, entry.product),
        None => "Each replica runs on processors".to_owned(),
    }
}

fn crowded(subject: &Subject<'_>, placement: &Placement) -> Option<Verdict> {
    let stuck = subject.pods().filter_map(|pod| pod.unschedulable.as_deref()).find(|m| !is_about_volumes(m));
    let (what, resource) = (placement.product(), placement.accelerator.map(|a| a.resource.as_str()));
    let short_of_accelerators = placement.places < i64::from(subject.wanted())
        || stuck.zip(resource).is_some_and(|(message, resource)| message.contains(resource));
    if short_of_accelerators {
        return Some(Verdict::no(
            Placed,
            Reason::InsufficientAccelerators,
            format!(
                "Not every replica gets its {} × {what}: all of them are taken on the nodes that spec.placement allows. \
                 Lower spec.replicas, suspend or delete another deployment, or add a node.",
                placement.per_replica
            ),
        ));
    }
    stuck.map(|message| {
        Verdict::no(
            Placed,
            Reason::InsufficientResources,
            format!(
                "The scheduler finds no node: {} Lower spec.resources, loosen spec.placement, or free a node.",
                sentence(message)
            ),
        )
    })
}

fn weights_ready(subject: &Subject<'_>) -> Verdict {
    let Some(source) = subject.owner.spec.model.source.as_ref() else {
        return Verdict::yes(WeightsReady, Reason::NoneNeeded, "The engine needs no weights from a source.");
    };
    match source {
        ModelSource { persistent_volume_claim: Some(claim), .. } => claim_ready(subject, &claim.claim_name),
        ModelSource { image, .. } => {
            let reference = image.as_ref().map_or("", |i| i.reference.as_str());
            image_ready(subject, reference)
        }
    }
}

fn claim_ready(subject: &Subject<'_>, name: &str) -> Verdict {
    match subject.observed.claim {
        Some(Claim::Bound) => {
            Verdict::yes(WeightsReady, Reason::ClaimBound, format!("PersistentVolumeClaim {name:?} is bound."))
        }
        Some(Claim::Pending) => claim_pending(subject, name),
        Some(Claim::Lost) => Verdict::no(
            WeightsReady,
            Reason::ClaimLost,
            format!("The volume of PersistentVolumeClaim {name:?} is gone. Restore it, or name another claim."),
        ),
        None => Verdict::no(
            WeightsReady,
            Reason::ClaimMissing,
            format!(
                "PersistentVolumeClaim {name:?} does not exist in this namespace. Create it with the weights, or correct \
                 spec.model.source.persistentVolumeClaim.claimName."
            ),
        ),
    }
}

/// A claim may rightly wait until the first Pod is scheduled; it is at fault once the scheduler says so.
fn claim_pending(subject: &Subject<'_>, name: &str) -> Verdict {
    match subject.pods().filter_map(|pod| pod.unschedulable.as_deref()).find(|message| is_about_volumes(message)) {
        Some(message) => Verdict::no(
            WeightsReady,
            Reason::ClaimPending,
            format!(
                "PersistentVolumeClaim {name:?} has no volume: {} See `kubectl describe pvc {name}`.",
                sentence(message)
            ),
        ),
        None => Verdict::unknown(
            WeightsReady,
            Reason::ClaimPending,
            format!("PersistentVolumeClaim {name:?} gets its volume when the first replica is put on a node."),
        ),
    }
}

fn is_about_volumes(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("persistentvolumeclaim") || message.contains("persistent volume")
}

fn image_ready(subject: &Subject<'_>, reference: &str) -> Verdict {
    let trouble = subject.pods().find_map(|pod| match &pod.trouble {
        Some(Trouble::Image(message)) if message.contains(reference) => Some(message),
        _ => None,
    });
    match trouble {
        Some(message) => Verdict::no(
            WeightsReady,
            Reason::ImageUnavailable,
            format!(
                "The image with the weights cannot be pulled: {} Correct spec.model.source.image.",
                sentence(message)
            ),
        ),
        None => Verdict::yes(
            WeightsReady,
            Reason::ImageNamed,
            format!("Nodes mount the image {reference} when a replica starts."),
        ),
    }
}

fn available(subject: &Subject<'_>, gateway: Option<&Verdict>) -> Verdict {
    let shut = gateway.filter(|gateway| gateway.holds != Some(true));
    if let Some(gateway) = shut.filter(|_| subject.serving() > 0) {
        return Verdict::no(Available, gateway.reason, gateway.message.clone());
    }
    if subject.serving() > 0 {
        let url = endpoint(subject.owner);
        return Verdict::yes(Available, Reason::CanaryAnswered, format!("{url} answers with tokens."));
    }
    if let Some((reason, message)) = subject.idle() {
        return Verdict::no(Available, reason, message);
    }
    let (reason, message) = trouble(subject).unwrap_or_else(|| starting(subject));
    Verdict::no(Available, reason, message)
}

fn starting(subject: &Subject<'_>) -> (Reason, String) {
    if subject.existing() == 0 && subject.refusal.is_some() {
        return (Reason::Refused, "No replica runs, because the spec cannot be served as it is.".to_owned());
    }
    (Reason::Starting, "No replica has answered yet: images are pulled, weights are loaded.".to_owned())
}

fn progressing(subject: &Subject<'_>) -> Verdict {
    if let Some((condition, refusal)) = &subject.refusal {
        let word = if *condition == IsAccepted { "refused" } else { "not placed" };
        let rest = if subject.idle().is_some() { "no replica runs" } else { "what ran before stays" };
        return Verdict::no(Progressing, Reason::Refused, format!("The spec is {word} ({}); {rest}.", refusal.reason));
    }
    if subject.is_rolled_out() {
        return Verdict::yes(Progressing, Reason::Complete, "Every replica runs the current spec.");
    }
    match trouble(subject).filter(|(reason, _)| *reason != Reason::CanaryFailed) {
        Some((reason, message)) => Verdict::no(Progressing, reason, message),
        None => Verdict::yes(Progressing, Reason::RollingOut, "Replicas of the current spec are being brought up."),
    }
}

fn ready(subject: &Subject<'_>, others: &[Verdict]) -> Verdict {
    let open = others.iter().all(|v| v.condition != GatewayReady || v.holds == Some(true));
    if let Some((reason, message)) = subject.idle() {
        let serves = subject.sleeps() && open && subject.refusal.is_none();
        return if serves { Verdict::yes(Ready, reason, message) } else { Verdict::no(Ready, reason, message) };
    }
    let wanted = usize::try_from(subject.wanted()).unwrap_or(0);
    let (refused, serving) = (subject.refusal.is_some(), subject.current_and_serving());
    if !refused && open && serving >= wanted && subject.is_rolled_out() {
        return Verdict::yes(Ready, Reason::AllReplicasAnswer, "Every replica answers the operator's canary.");
    }
    let worst = (others.iter())
        .filter(|v| v.holds == Some(false) && matches!(v.condition, IsAccepted | Placed | WeightsReady))
        .chain(others.iter().filter(|v| v.holds == Some(false) && v.condition == Progressing))
        .chain(others.iter().filter(|v| v.holds == Some(false) && matches!(v.condition, Available | GatewayReady)))
        .next();
    match worst {
        Some(verdict) => Verdict::no(Ready, verdict.reason, verdict.message.clone()),
        None if subject.is_rolled_out() => Verdict::no(
            Ready,
            Reason::SomeReplicasAnswer,
            "Not every replica answers the operator's canary; the others serve meanwhile.",
        ),
        None => Verdict::no(Ready, Reason::RollingOut, "Replicas of the current spec are being brought up."),
    }
}

/// kstatus: `Reconciling` while something still happens by itself, `Stalled` when somebody must act.
fn reconciling_or_stalled(ready: &Verdict, others: &[Verdict]) -> Option<Verdict> {
    const HOPELESS: [Reason; 4] =
        [Reason::DoesNotFit, Reason::NoMatchingNode, Reason::UnsupportedEngine, Reason::EngineCrashing];
    if ready.holds == Some(true) || matches!(ready.reason, Reason::Suspended | Reason::ScaledToZero) {
        return None;
    }
    let refused = others.iter().any(|v| v.condition == IsAccepted && v.holds == Some(false));
    let condition = if refused || HOPELESS.contains(&ready.reason) { Stalled } else { Reconciling };
    Some(Verdict::yes(condition, ready.reason, ready.message.clone()))
}
