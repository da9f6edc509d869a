//! What gateways may ask of the API server: which engines there are, and their own configuration. Nothing else, and no Secret.

use std::collections::BTreeMap;

use deepseek_crds::DeepSeekDeployment;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::ResourceExt;

use super::gateway::gateway_name;
use super::{child, metadata};
use crate::observed::Component;
use crate::plan::{Child, ChildKind};

/// Renders the ServiceAccount, its Role and what binds them.
pub fn gateway_access(owner: &DeepSeekDeployment) -> [Child; 3] {
    let name = gateway_name(&owner.name_any());
    let metadata = || metadata(owner, name.clone(), Component::Gateway, BTreeMap::new());
    let account = ServiceAccount {
        metadata: metadata(),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    let role = Role { metadata: metadata(), rules: Some(rules(&name)) };
    let binding = RoleBinding {
        metadata: metadata(),
        role_ref: RoleRef { api_group: "rbac.authorization.k8s.io".into(), kind: "Role".into(), name: name.clone() },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: name.clone(),
            namespace: owner.namespace(),
            api_group: None,
        }]),
    };
    [child(ChildKind::ServiceAccount, &account), child(ChildKind::Role, &role), child(ChildKind::RoleBinding, &binding)]
}

fn rules(config_map: &str) -> Vec<PolicyRule> {
    let rule = |group: &str, resource: &str, names: Option<Vec<String>>, verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: names,
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        non_resource_urls: None,
    };
    vec![
        rule("discovery.k8s.io", "endpointslices", None, &["list", "watch"]),
        rule("", "configmaps", Some(vec![config_map.to_owned()]), &["list", "watch"]),
    ]
}
