//! Whose is an object that bears the name of a child?

use deepseek_core::render::DEPLOYMENT_LABEL;
use deepseek_crds::DeepSeekDeployment;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// The deployment's; or an orphan of its name, which it adopts: it bears our label and has no controller, as after
    /// `kubectl delete --cascade=orphan`.
    Ours,
    /// A deployment's of the same name that was deleted; the garbage collector has yet to take it.
    OfPredecessor,
    /// Somebody else's.
    Foreign,
}

/// Tells from the metadata of a stored object.
pub fn belonging(object: &ObjectMeta, owner: &DeepSeekDeployment) -> Belonging {
    let controller = object.owner_references.iter().flatten().find(|reference| reference.controller == Some(true));
    match controller {
        Some(controller) if Some(&controller.uid) == owner.metadata.uid.as_ref() => Belonging::Ours,
        Some(controller) if controller.kind == DeepSeekDeployment::kind(&()) => Belonging::OfPredecessor,
        Some(_) => Belonging::Foreign,
        None => {
            let label = object.labels.as_ref().and_then(|labels| labels.get(DEPLOYMENT_LABEL));
            if label == Some(&owner.name_any()) { Belonging::Ours } else { Belonging::Foreign }
        }
    }
}
