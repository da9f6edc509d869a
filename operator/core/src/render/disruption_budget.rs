//! PodDisruptionBudgets: at most one engine and one gateway at a time is evicted on purpose.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{child, child_name, label_selector, metadata};
use crate::observed::Component;
use crate::plan::{Child, ChildKind};

/// Renders the budget of a component. A Pod that is not healthy may always be evicted: it protects nothing and blocks a drain.
pub fn disruption_budget(owner: &DeepSeekDeployment, component: Component) -> Child {
    let name = match component {
        Component::Engine => owner.name_any(),
        Component::Gateway => child_name(&owner.name_any(), component.as_str()),
    };
    let object = PodDisruptionBudget {
        metadata: metadata(owner, name, component, BTreeMap::new()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector(&owner.name_any(), component)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    };
    child(ChildKind::PodDisruptionBudget, &object)
}
