//! The Service: the one address of a deployment.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{PORT, child, engine_selector, metadata};
use crate::plan::{Child, ChildKind};

/// Renders the Service. Its name is the deployment's.
pub fn service(owner: &DeepSeekDeployment) -> Child {
    let name = owner.name_any();
    let object = Service {
        metadata: metadata(owner, BTreeMap::new()),
        spec: Some(ServiceSpec {
            selector: Some(engine_selector(&name)),
            ports: Some(vec![ServicePort {
                name: Some("http".into()),
                port: PORT,
                protocol: Some("TCP".into()),
                app_protocol: Some("http".into()),
                target_port: Some(IntOrString::String("http".into())),
                ..ServicePort::default()
            }]),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    child(ChildKind::Service, name, &object)
}

/// The address for OpenAI clients inside the cluster.
pub fn endpoint(owner: &DeepSeekDeployment) -> String {
    format!("http://{}.{}.svc:{PORT}/v1", owner.name_any(), owner.namespace().unwrap_or_default())
}
