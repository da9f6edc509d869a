//! What the status says beside its conditions: counts, the address, the model, the placement, scaling.

use deepseek_crds::DeepSeekDeployment;
use deepseek_crds::v1alpha1::{AutoscalingStatus, EndpointStatus, ModelStatus, PlacementStatus};
use kube::ResourceExt;

use crate::decide::accept::Accepted;
use crate::decide::conditions::Subject;
use crate::decide::place::Placement;
use crate::render::engine_selector_text;
use crate::render::service::endpoint;

/// What the status says beside its conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Replicas that exist.
    pub replicas: i32,
    /// Replicas that answered the canary.
    pub ready_replicas: i32,
    /// The same of those wanted, for people.
    pub ready: String,
    /// Selector of the engine's Pods.
    pub selector: String,
    /// Where clients send requests.
    pub endpoint: Option<EndpointStatus>,
    /// The model with its defaults; `None` keeps what the status says.
    pub model: Option<ModelStatus>,
    /// The placement; `None` keeps what the status says.
    pub placement: Option<PlacementStatus>,
    /// Scaling; `None` keeps what the status says, as long as it scales.
    pub autoscaling: Option<AutoscalingStatus>,
}

impl Facts {
    /// Of one deployment, as it was decided and seen.
    pub fn new(owner: &DeepSeekDeployment, subject: &Subject<'_>, placement: Option<&Placement>) -> Self {
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let (ready, wanted) = (count(subject.serving()), subject.wanted());
        Self {
            replicas: count(subject.existing()),
            ready_replicas: ready,
            ready: format!("{ready}/{wanted}"),
            selector: engine_selector_text(&owner.name_any()),
            endpoint: placement.map(|_| EndpointStatus { url: endpoint(owner) }),
            model: subject.accepted.map(model_status),
            placement: placement.zip(subject.accepted).map(|(p, a)| placement_status(p, a)),
            autoscaling: subject.observed.scaling.as_ref().map(|scaling| scaling.status.clone()),
        }
    }
}

fn model_status(accepted: &Accepted<'_>) -> ModelStatus {
    ModelStatus {
        name: accepted.facts.name.clone(),
        precision: Some(accepted.facts.precision.to_string()),
        weight_bytes: i64::try_from(accepted.facts.weights.0).ok(),
    }
}

fn placement_status(placement: &Placement, accepted: &Accepted<'_>) -> PlacementStatus {
    let small = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    PlacementStatus {
        accelerator: placement.product().to_owned(),
        per_replica: small(placement.per_replica),
        engine: accepted.engine.engine.to_string(),
        context_length: small(placement.context_length),
        max_concurrent_sequences: small(placement.sequences),
        explanation: placement.explanation.clone(),
    }
}
