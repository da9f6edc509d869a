//! The PodDisruptionBudget: at most one replica at a time is evicted on purpose.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{child, label_selector, metadata};
use crate::plan::{Child, ChildKind};

/// Renders the budget. A Pod that is not healthy may always be evicted: it protects nothing and blocks a drain.
pub fn disruption_budget(owner: &DeepSeekDeployment) -> Child {
    let name = owner.name_any();
    let object = PodDisruptionBudget {
        metadata: metadata(owner, BTreeMap::new()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector(&name)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    };
    child(ChildKind::PodDisruptionBudget, name, &object)
}
