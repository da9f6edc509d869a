//! The NetworkPolicy of engines: only gateways and the operator get in.
//!
//! An engine's own API key leaves its other routes open (vLLM: `/metrics`, `/sleep`, `/tokenize`); so nobody else may knock.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::service::engines_name;
use super::{PORT, child, label_selector, metadata};
use crate::observed::{Component, Settings};
use crate::plan::{Child, ChildKind};

/// Renders the policy. The kubelet's probes come from the Pod's own node, which no policy keeps out.
pub fn network_policy(owner: &DeepSeekDeployment, settings: &Settings) -> Child {
    let name = owner.name_any();
    let gateways = NetworkPolicyPeer {
        pod_selector: Some(label_selector(&name, Component::Gateway)),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(namespaces([settings.namespace.clone()])),
        pod_selector: Some(LabelSelector {
            match_labels: Some([("app.kubernetes.io/name".to_owned(), "deepseek-operator".to_owned())].into()),
            ..LabelSelector::default()
        }),
        ip_block: None,
    };
    let metrics = (!settings.metrics_namespaces.is_empty()).then(|| NetworkPolicyPeer {
        namespace_selector: Some(namespaces(settings.metrics_namespaces.clone())),
        ..NetworkPolicyPeer::default()
    });
    let object = NetworkPolicy {
        metadata: metadata(owner, engines_name(&name), Component::Engine, BTreeMap::new()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(label_selector(&name, Component::Engine)),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some([gateways, operator].into_iter().chain(metrics).collect()),
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::Int(PORT)),
                    protocol: Some("TCP".into()),
                    end_port: None,
                }]),
            }]),
            egress: None,
        }),
    };
    child(ChildKind::NetworkPolicy, &object)
}

fn namespaces(names: impl Into<Vec<String>>) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "kubernetes.io/metadata.name".into(),
            operator: "In".into(),
            values: Some(names.into()),
        }]),
        ..LabelSelector::default()
    }
}
