//! The way to gateways that still answer while Kubernetes has lost sight of their nodes.
//!
//! When kubelets cannot reach the API server, Kubernetes takes their nodes and all Pods there for lost: the Service would lead to
//! nobody, although everybody serves (kubernetes/kubernetes#77864). Who was ready by the kubelet's own last word and is on a
//! node that answers our knocks is then led to by an `EndpointSlice` of our own, beside those that Kubernetes keeps.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::ResourceExt;

use super::{MANAGER, PORT, child, child_name, metadata};
use crate::decide::node_loss::NodeState;
use crate::observed::{Component, Observed, Pod};
use crate::plan::{Child, ChildKind};

/// The label by which a slice belongs to a Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label by which others know that they leave a slice alone.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Renders the slice; none while Kubernetes leads to every gateway that answers.
pub fn held(owner: &DeepSeekDeployment, observed: &Observed) -> Option<Child> {
    let is_held =
        |pod: &&Pod| pod.ready && !pod.led_to && !pod.terminating && observed.state_of(pod) == NodeState::Answers;
    let endpoints: Vec<_> = observed.gateways.iter().filter(is_held).filter_map(endpoint).collect();
    if endpoints.is_empty() {
        return None;
    }
    let name = owner.name_any();
    let mut metadata = metadata(owner, child_name(&name, "held"), Component::Gateway, BTreeMap::new());
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(SERVICE_NAME.to_owned(), name);
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let v6 = endpoints.iter().any(|endpoint| endpoint.addresses.iter().any(|address| address.contains(':')));
    let object = EndpointSlice {
        metadata,
        address_type: if v6 { "IPv6" } else { "IPv4" }.to_owned(),
        endpoints,
        ports: Some(vec![EndpointPort {
            name: Some("http".into()),
            port: Some(PORT),
            protocol: Some("TCP".into()),
            app_protocol: Some("http".into()),
        }]),
    };
    Some(child(ChildKind::EndpointSlice, &object))
}

fn endpoint(pod: &Pod) -> Option<Endpoint> {
    Some(Endpoint {
        addresses: vec![pod.address.clone()?],
        conditions: Some(EndpointConditions { ready: Some(true), serving: Some(true), terminating: Some(false) }),
        node_name: pod.node.clone(),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    })
}
