//! Pods of ours: which they are, what each of them is, whether it is ready, where it is reached.

use std::sync::Arc;

use deepseek_core::observed::Component;
use deepseek_core::render::{COMPONENT_LABEL, DEPLOYMENT_LABEL};
use deepseek_crds::DeepSeekDeployment;
use kube::ResourceExt;
use kube::runtime::reflector::Store;

use crate::seen::SeenPod;

/// Pods of all deployments.
pub fn our_pods(pods: &Store<SeenPod>) -> Vec<Arc<SeenPod>> {
    pods.state_filter(|pod| pod.labels().contains_key(DEPLOYMENT_LABEL))
}

/// Whether a Pod is one of a deployment.
pub fn belongs(pod: &SeenPod, deployment: &DeepSeekDeployment) -> bool {
    pod.namespace() == deployment.namespace() && pod.labels().get(DEPLOYMENT_LABEL) == deployment.metadata.name.as_ref()
}

/// What a Pod of ours is.
pub fn component(pod: &SeenPod) -> Option<Component> {
    let label = pod.labels().get(COMPONENT_LABEL).filter(|_| pod.labels().contains_key(DEPLOYMENT_LABEL))?;
    [Component::Engine, Component::Gateway].into_iter().find(|known| known.as_str() == label)
}

/// Where a port of a Pod is reached.
pub fn address(pod: &SeenPod, port: i32) -> Option<String> {
    Some(match pod.status.pod_ip.as_deref()? {
        v6 if v6.contains(':') => format!("[{v6}]:{port}"),
        v4 => format!("{v4}:{port}"),
    })
}

/// Whether the kubelet calls it ready, as far as it was heard last: by `ContainersReady`, because of a node that Kubernetes has lost
/// sight of it turns `Ready` by itself, whether or not its Pods still answer.
pub fn is_ready(pod: &SeenPod) -> bool {
    holds(pod, "ContainersReady")
}

/// Whether Services lead to it.
pub fn is_led_to(pod: &SeenPod) -> bool {
    holds(pod, "Ready")
}

fn holds(pod: &SeenPod, condition: &str) -> bool {
    pod.status.conditions.iter().any(|found| found.type_ == condition && found.status == "True")
}
