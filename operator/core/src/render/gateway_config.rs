//! The ConfigMap that tells gateways what to do.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use super::gateway::gateway_name;
use super::{child, metadata};
use crate::gateway::GatewayConfig;
use crate::observed::Component;
use crate::plan::{Child, ChildKind};

/// The entry of the ConfigMap, and the file that it becomes in the Pod.
pub const CONFIG_FILE: &str = "config.json";

/// Renders the ConfigMap.
pub fn gateway_config(owner: &DeepSeekDeployment, config: &GatewayConfig) -> Child {
    // plain data with string keys always becomes JSON
    let text = serde_json::to_string_pretty(config).unwrap_or_default();
    let object = ConfigMap {
        metadata: metadata(owner, gateway_name(&owner.name_any()), Component::Gateway, BTreeMap::new()),
        data: Some([(CONFIG_FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    };
    child(ChildKind::ConfigMap, &object)
}
