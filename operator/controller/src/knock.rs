//! One round of knocking at a node.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt};
use tokio::time::timeout;

use crate::canary::Prober;

/// How long an answer may take; within one network it takes a millisecond.
const LIMIT: Duration = Duration::from_millis(600);
/// How long the API server may take to show a Lease.
const LEASE_LIMIT: Duration = Duration::from_millis(1500);

/// One node to knock at.
pub(crate) struct Round {
    pub(crate) node: String,
    /// UIDs and addresses of Pods, the one whose turn it is first.
    pub(crate) pods: Vec<(String, String)>,
    pub(crate) kubelet: Option<String>,
    pub(crate) wants_lease: bool,
}

/// What came of it.
pub(crate) struct Heard {
    pub(crate) node: String,
    pub(crate) pods: Vec<String>,
    /// Pods that were knocked at.
    pub(crate) asked: BTreeSet<String>,
    pub(crate) kubelet: Option<bool>,
    pub(crate) lease: Option<String>,
}

/// Knocks at Pods and kubelet at once, and looks at the Lease if that is wanted.
pub(crate) async fn knock(round: Round, leases: &Api<Lease>, prober: &dyn Prober) -> Heard {
    let Round { node, pods, kubelet, wants_lease } = round;
    let kubelet = async {
        match kubelet {
            Some(address) => Some(prober.knock(&address, LIMIT).await),
            None => None,
        }
    };
    let lease = async {
        if !wants_lease {
            return None;
        }
        let looked = timeout(LEASE_LIMIT, leases.get(&node)).await;
        looked.ok()?.ok()?.resource_version()
    };
    let (pods, kubelet, lease) = tokio::join!(knock_at_pods(&pods, prober), kubelet, lease);
    let (pods, asked) = pods;
    Heard { node, pods, asked, kubelet, lease }
}

/// Returns who answered, and who was asked.
async fn knock_at_pods(pods: &[(String, String)], prober: &dyn Prober) -> (Vec<String>, BTreeSet<String>) {
    let knocked = pods.iter().map(|(uid, address)| async move { (uid, prober.knock(address, LIMIT).await) });
    let answers = futures::future::join_all(knocked).await;
    let there = answers.into_iter().filter(|(_, there)| *there).map(|(uid, _)| uid.clone()).collect();
    (there, pods.iter().map(|(uid, _)| uid.clone()).collect())
}
