//! From what is wanted and what was seen to what should be: the table of contents of all decisions.
//!
//! [`plan`] is total: a spec that cannot be served is a verdict, never an error, and what was accepted last stays.

use std::time::Duration;

use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;

use crate::decide::accept::{Accepted, accept};
use crate::decide::autoscale::wanted::Wanted;
use crate::decide::conditions::{Subject, conditions};
use crate::decide::node_loss::{Removal, removals};
use crate::decide::place::{Choice, Placement, place};
use crate::decide::rollout::{Rollout, Running, rollout};
use crate::facts::Facts;
use crate::observed::{Component, Observed};
use crate::render::deployment::{Template, deployment, template, tools_of};
use crate::render::disruption_budget::disruption_budget;
use crate::render::gateway::gateway;
use crate::render::gateway_access::gateway_access;
use crate::render::gateway_config::gateway_config;
use crate::render::held::held;
use crate::render::network_policy::network_policy;
use crate::render::service::{engines_service, service};
use crate::render::{ACCELERATOR, PER_REPLICA, REVISION_LABEL};
use crate::verdict::{Refusal, Verdict};

/// Everything that was decided about one deployment.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every object that should exist, in the order in which they are applied; `None` leaves everything as it is.
    pub resources: Option<Resources<Planned>>,
    /// Pods that give way to others, because their node is lost.
    pub removals: Vec<Removal>,
    /// Every condition that should stand in the status.
    pub verdicts: Vec<Verdict>,
    /// What else the status should say.
    pub facts: Facts,
}

/// The objects of one deployment. The state says what has happened to them.
#[derive(Clone, Debug)]
pub struct Resources<State> {
    /// The objects, in order.
    pub children: Vec<Child>,
    /// What else goes.
    pub sweep: Sweep,
    state: State,
}

/// Which objects of a deployment go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// All that are not among the planned ones.
    Others,
    /// The engine's Deployment, and slices that are not planned.
    Engine,
    /// Slices that are not planned.
    Slices,
}

/// They should exist.
#[derive(Clone, Copy, Debug)]
pub struct Planned(());

/// Each was sent to the API server, with this outcome.
#[derive(Clone, Debug)]
pub struct Applied {
    outcomes: Vec<Outcome>,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was as planned already.
    Unchanged,
    /// It was written.
    Written,
    /// Another object has the name.
    NameTaken,
    /// The API server refused it, or could not be reached.
    Failed {
        /// What the API server said.
        message: String,
        /// Whether trying again may help without anybody's doing.
        transient: bool,
    },
}

impl Resources<Planned> {
    fn new(children: Vec<Child>) -> Self {
        Self { children, sweep: Sweep::Others, state: Planned(()) }
    }

    /// Records what became of each object, in the same order.
    pub fn applied(self, outcomes: Vec<Outcome>) -> Resources<Applied> {
        Resources { children: self.children, sweep: self.sweep, state: Applied { outcomes } }
    }
}

impl Resources<Applied> {
    /// Each object with its outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = (&Child, &Outcome)> {
        self.children.iter().zip(&self.state.outcomes)
    }
}

/// One Kubernetes object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: ChildKind,
    /// Its name; its namespace is the deployment's.
    pub name: String,
    /// All fields that are ours, as JSON.
    pub body: Value,
}

/// Kinds of objects that a deployment may have, in the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// `v1` ServiceAccount.
    ServiceAccount,
    /// `rbac.authorization.k8s.io/v1` Role.
    Role,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `rbac.authorization.k8s.io/v1` RoleBinding.
    RoleBinding,
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `policy/v1` PodDisruptionBudget.
    PodDisruptionBudget,
    /// `apps/v1` Deployment.
    Deployment,
}

impl ChildKind {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::ServiceAccount,
        Self::Role,
        Self::ConfigMap,
        Self::RoleBinding,
        Self::NetworkPolicy,
        Self::Service,
        Self::EndpointSlice,
        Self::PodDisruptionBudget,
        Self::Deployment,
    ];

    /// Whether objects of kinds further down refer to it, so that it has to be there before them.
    pub fn is_referred_to(self) -> bool {
        self <= Self::ConfigMap
    }
}

/// Decides everything about one deployment.
pub fn plan(owner: &DeepSeekDeployment, observed: &Observed) -> Plan {
    match accept(&owner.spec) {
        Err(refusal) => Plan::refused(owner, observed, refusal),
        Ok(accepted) => match find_place(&accepted, observed) {
            Err(refusal) => Plan::unplaced(owner, observed, &accepted, refusal),
            Ok((placement, image)) => Plan::placed(owner, observed, &accepted, &placement, image),
        },
    }
}

fn find_place(accepted: &Accepted<'_>, observed: &Observed) -> Result<(Placement, String), Refusal> {
    let placement = place(accepted, observed, observed.workload.as_ref().and_then(kept_choice).as_ref())?;
    let image = image(accepted, observed, &placement)?;
    Ok((placement, image))
}

/// The spec's image, or the administrator's for the engine, or the catalogue's for engine and vendor.
fn image(accepted: &Accepted<'_>, observed: &Observed, placement: &Placement) -> Result<String, Refusal> {
    let engine = accepted.engine;
    let vendor = placement.accelerator.map(|a| a.vendor);
    (accepted.image)
        .or_else(|| observed.settings.engine_images.get(engine.engine.as_str()).map(String::as_str))
        .or_else(|| engine.image(vendor))
        .map(str::to_owned)
        .ok_or_else(|| {
            Refusal::new(
                Reason::UnsupportedEngine,
                format!(
                    "the catalogue has no image of {} for {}; name one under spec.engine.image.",
                    engine.engine,
                    placement.product()
                ),
            )
        })
}

impl Plan {
    fn refused(owner: &DeepSeekDeployment, observed: &Observed, refusal: Refusal) -> Self {
        let subject = Subject { refusal: Some((ConditionType::Accepted, refusal)), ..Subject::of(owner, observed) };
        Self {
            resources: as_it_is(owner, observed),
            removals: removals(observed, 0),
            verdicts: conditions(&subject),
            facts: Facts::new(owner, &subject, None),
        }
    }

    fn unplaced(owner: &DeepSeekDeployment, observed: &Observed, accepted: &Accepted<'_>, refusal: Refusal) -> Self {
        let subject = Subject {
            accepted: Some(accepted),
            refusal: Some((ConditionType::Placed, refusal)),
            ..Subject::of(owner, observed)
        };
        Self {
            resources: as_it_is(owner, observed),
            removals: removals(observed, 0),
            verdicts: conditions(&subject),
            facts: Facts::new(owner, &subject, None),
        }
    }

    fn placed(
        owner: &DeepSeekDeployment,
        observed: &Observed,
        accepted: &Accepted<'_>,
        placement: &Placement,
        image: String,
    ) -> Self {
        let template = template(owner, accepted, placement, image, observed.settings.tools_image.is_some());
        let revision = template.revision.clone();
        let workload = workload(owner, observed, accepted, placement, template);
        let subject = Subject {
            accepted: Some(accepted),
            placement: Some(placement),
            revision: Some(&revision),
            ..Subject::of(owner, observed)
        };
        let mut children = front(owner, observed, accepted, placement);
        children.extend([disruption_budget(owner, Component::Engine), workload]);
        children.sort_by_key(|child| child.kind);
        Self {
            resources: Some(Resources::new(children)),
            removals: removals(observed, placement.free),
            verdicts: conditions(&subject),
            facts: Facts::new(owner, &subject, Some(placement)),
        }
    }
}

/// What was accepted last stays. Who should hold nothing needs neither a spec that can be served nor a place: the engine's
/// Deployment goes, if one is left. And gateways that answer are held, place or no place.
fn as_it_is(owner: &DeepSeekDeployment, observed: &Observed) -> Option<Resources<Planned>> {
    let holds_nothing = owner.spec.suspend || owner.spec.replicas == 0;
    let sweep = if holds_nothing { Sweep::Engine } else { Sweep::Slices };
    let children = held(owner, observed).into_iter().collect();
    (holds_nothing || observed.settings.gateway_image.is_some())
        .then(|| Resources { sweep, ..Resources::new(children) })
}

/// What clients meet: the Service, and the gateway behind it with all that it needs.
fn front(
    owner: &DeepSeekDeployment,
    observed: &Observed,
    accepted: &Accepted<'_>,
    placement: &Placement,
) -> Vec<Child> {
    let settings = &*observed.settings;
    let Some(image) = settings.gateway_image.as_deref().filter(|_| accepted.front.is_wanted()) else {
        return vec![service(owner, Component::Engine)];
    };
    let config =
        accepted.front.config(accepted, placement, settings.otlp_endpoint.as_deref(), learned(owner, observed));
    let mut children = Vec::from(gateway_access(owner));
    children.extend([
        gateway_config(owner, &config),
        network_policy(owner, settings),
        service(owner, way_in(observed, accepted)),
        engines_service(owner),
        disruption_budget(owner, Component::Gateway),
        gateway(owner, accepted, image),
    ]);
    children.extend(held(owner, observed));
    children
}

/// How long replicas have taken until they answered; the status says it until the autoscaler has looked.
fn learned(owner: &DeepSeekDeployment, observed: &Observed) -> Option<Duration> {
    let stored = owner.status.as_ref().and_then(|status| status.autoscaling.as_ref());
    let status = observed.scaling.as_ref().map(|scaling| &scaling.status).or(stored)?;
    u64::try_from(status.cold_start.as_ref()?.p90_seconds).ok().map(Duration::from_secs)
}

/// A Service that leads to engines turns to gateways when one of them is ready, so that nobody is turned away meanwhile.
fn way_in(observed: &Observed, accepted: &Accepted<'_>) -> Component {
    let guarded = accepted.front.keys_secret.is_some() || accepted.front.tls_secret.is_some();
    let is_ready = || observed.gateways.iter().any(|pod| pod.ready && !pod.terminating);
    match observed.leads_to {
        Some(Component::Engine) if !guarded && !is_ready() => Component::Engine,
        _ => Component::Gateway,
    }
}

fn workload(
    owner: &DeepSeekDeployment,
    observed: &Observed,
    accepted: &Accepted<'_>,
    placement: &Placement,
    template: Template,
) -> Child {
    let running = observed.workload.as_ref().map(|stored| running(stored, &template.revision));
    let affords = |wanted: &Wanted| wanted.affords(accepted.replicas.saturating_add(1), placement.per_replica);
    let way = rollout(placement, accepted.replicas, accepted.autoscaling.as_ref().is_none_or(affords), running);
    let kept = running.filter(|r| r.same_revision).and(observed.workload.as_ref()).and_then(tools_of);
    let template = match kept.or(observed.settings.tools_image.as_deref()) {
        Some(image) => template.with_tools(image),
        None => template,
    };
    deployment(owner, accepted, placement, template, way)
}

/// The choice that the stored Deployment was made with.
fn kept_choice(stored: &Deployment) -> Option<Choice> {
    let annotations = stored.metadata.annotations.as_ref()?;
    Some(Choice {
        product: annotations.get(ACCELERATOR)?.clone(),
        per_replica: annotations.get(PER_REPLICA)?.parse().ok()?,
    })
}

fn running(stored: &Deployment, revision: &str) -> Running {
    let spec = stored.spec.as_ref();
    let labels = spec.and_then(|s| s.template.metadata.as_ref()).and_then(|m| m.labels.as_ref());
    let surge = (spec.and_then(|s| s.strategy.as_ref()))
        .and_then(|s| s.rolling_update.as_ref())
        .and_then(|r| r.max_surge.as_ref());
    let in_place = matches!(surge, Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(0)));
    Running {
        same_revision: labels.and_then(|l| l.get(REVISION_LABEL)).map(String::as_str) == Some(revision),
        rollout: if in_place { Rollout::InPlace } else { Rollout::Surge },
    }
}
