//! The Services: the one address of a deployment, and the list of its engines for its gateways.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{COMPONENT_LABEL, PORT, child, child_name, metadata, selector};
use crate::observed::Component;
use crate::plan::{Child, ChildKind};

/// Renders the Service that clients use, leading to the Pods of this component. Its name is the deployment's.
pub fn service(owner: &DeepSeekDeployment, leads_to: Component) -> Child {
    let spec = ServiceSpec { type_: Some("ClusterIP".into()), ..ports_to(owner, leads_to) };
    render(owner, owner.name_any(), spec)
}

/// Renders the Service whose EndpointSlices tell gateways which engines there are: all of them, since gateways judge for
/// themselves which ones are well.
pub fn engines_service(owner: &DeepSeekDeployment) -> Child {
    let spec = ServiceSpec {
        type_: Some("ClusterIP".into()),
        cluster_ip: Some("None".into()),
        publish_not_ready_addresses: Some(true),
        ..ports_to(owner, Component::Engine)
    };
    render(owner, engines_name(&owner.name_any()), spec)
}

/// Name of the Service whose EndpointSlices list the engines.
pub fn engines_name(owner: &str) -> String {
    child_name(owner, "engines")
}

/// Where a stored Service leads.
pub fn leads_to(stored: &Service) -> Option<Component> {
    let component = stored.spec.as_ref()?.selector.as_ref()?.get(COMPONENT_LABEL)?;
    [Component::Engine, Component::Gateway].into_iter().find(|known| known.as_str() == component)
}

fn render(owner: &DeepSeekDeployment, name: String, spec: ServiceSpec) -> Child {
    let metadata = metadata(owner, name, Component::Engine, BTreeMap::new());
    child(ChildKind::Service, &Service { metadata, spec: Some(spec), status: None })
}

fn ports_to(owner: &DeepSeekDeployment, component: Component) -> ServiceSpec {
    ServiceSpec {
        selector: Some(selector(&owner.name_any(), component)),
        ports: Some(vec![ServicePort {
            name: Some("http".into()),
            port: PORT,
            protocol: Some("TCP".into()),
            app_protocol: Some("http".into()),
            target_port: Some(IntOrString::String("http".into())),
            ..ServicePort::default()
        }]),
        ..ServiceSpec::default()
    }
}

/// The address for OpenAI clients inside the cluster.
pub fn endpoint(owner: &DeepSeekDeployment) -> String {
    let tls = owner.spec.gateway.as_ref().is_some_and(|gateway| gateway.tls.is_some());
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}.{}.svc:{PORT}/v1", owner.name_any(), owner.namespace().unwrap_or_default())
}
