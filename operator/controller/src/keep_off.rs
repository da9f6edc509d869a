//! Keeps Pods off lost nodes by a taint, until the node answers again.
//!
//! Kubernetes notices a silent node after 54 s; until then its scheduler would put the replacement of a Pod back where it came from. The
//! taint only keeps new Pods off; it evicts none.

use std::time::Duration;

use deepseek_core::decide::node_loss::UNREACHABLE;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

use crate::FIELD_MANAGER;
use crate::lease::Leading;
use crate::seen::SeenNode;
use crate::silence::{Judgement, Silences};

const NO_SCHEDULE: &str = "NoSchedule";
/// How long a node must answer before Pods are let onto it again, so that a loose cable does not draw them there and back.
const WELL: Duration = Duration::from_secs(10);
/// Between two looks at nodes that Pods are kept off.
const LOOK: Duration = Duration::from_secs(2);

/// Sets taints and takes them away.
#[derive(Clone)]
pub struct Guard {
    nodes: Store<SeenNode>,
    api: Api<Node>,
}

impl Guard {
    /// A guard that writes with this client.
    pub fn new(client: Client, nodes: Store<SeenNode>) -> Self {
        Self { nodes, api: Api::all(client) }
    }

    /// Keeps Pods off a node.
    ///
    /// # Errors
    /// When the API server does not take the taint, for a reason that may pass. Where the operator may not change nodes at all, it
    /// does without.
    pub async fn keep_off(&self, leading: &Leading, name: &str) -> Result<(), kube::Error> {
        match self.nodes.get(&ObjectRef::new(name)) {
            Some(node) if !node.is_kept_off() => {
                let taint = Taint { key: UNREACHABLE.to_owned(), effect: NO_SCHEDULE.to_owned(), ..Taint::default() };
                let taints = node.spec.taints.iter().cloned().chain([taint]).collect();
                self.write(leading, &node, taints).await
            }
            _ => Ok(()),
        }
    }

    /// Lets Pods onto nodes again that answer; never returns.
    pub async fn lift(&self, leading: &Leading, silences: &Silences) {
        loop {
            for node in self.nodes.state().iter().filter(|node| node.is_kept_off()) {
                if may_be_used(node, silences.judgement(&node.name_any())) {
                    let others = node.spec.taints.iter().filter(|taint| taint.key != UNREACHABLE).cloned().collect();
                    if let Err(error) = self.write(leading, node, others).await {
                        tracing::warn!(node = node.name_any(), %error, "taint not lifted; it is tried again");
                    }
                }
            }
            sleep(LOOK).await;
        }
    }

    async fn write(&self, _: &Leading, node: &SeenNode, taints: Vec<Taint>) -> Result<(), kube::Error> {
        let name = node.name_any();
        // a list of taints is written as a whole; the version keeps us from writing over somebody else's
        let patch = json!({"metadata": {"resourceVersion": node.resource_version()}, "spec": {"taints": taints}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.api.patch(&name, &params, &Patch::Merge(patch)).await {
            Ok(_) => {
                tracing::warn!(
                    node = name,
                    kept_off = taints.iter().any(|t| t.key == UNREACHABLE),
                    "node tainted anew"
                );
                Ok(())
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                tracing::warn!(node = name, error = status.message, "Pods cannot be kept off the node");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Where nobody can be asked, Kubernetes' own word counts, which is a minute late.
fn may_be_used(node: &SeenNode, judgement: Judgement) -> bool {
    match judgement {
        Judgement::Well(time) => time >= WELL,
        Judgement::Unreachable => node.is_ready(),
        Judgement::Silent | Judgement::Unknown => false,
    }
}
