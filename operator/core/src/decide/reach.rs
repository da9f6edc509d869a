//! Can clients reach it: does a gateway answer, and do the nodes?

use std::collections::BTreeSet;

use deepseek_crds::condition::ConditionType::{GatewayReady, NodesReachable};
use deepseek_crds::condition::Reason;

use crate::decide::conditions::Subject;
use crate::decide::node_loss::NodeState;
use crate::decide::trouble::gateway_trouble;
use crate::observed::{Observed, Pod};
use crate::verdict::Verdict;

/// Nothing is said where there is no gateway.
pub fn gateway_ready(subject: &Subject<'_>) -> Option<Verdict> {
    let wanted = subject.accepted.is_some_and(|accepted| accepted.front.is_wanted())
        && subject.observed.settings.gateway_image.is_some();
    if !wanted {
        return None;
    }
    let answers = |pod: &&Pod| pod.ready && !pod.terminating && subject.observed.state_of(pod) == NodeState::Answers;
    if subject.observed.gateways.iter().any(|pod| answers(&pod)) {
        return Some(Verdict::yes(GatewayReady, Reason::GatewaysAnswer, "Gateways take requests."));
    }
    let (reason, message) = gateway_trouble(subject)
        .unwrap_or_else(|| (Reason::GatewayStarting, "No gateway takes requests yet: they are starting.".to_owned()));
    Some(Verdict::no(GatewayReady, reason, message))
}

/// Absent while all is well.
pub fn nodes_reachable(subject: &Subject<'_>) -> Option<Verdict> {
    let Observed { watch, pods, gateways, .. } = subject.observed;
    if watch.is_storm() {
        return Some(Verdict::no(
            NodesReachable,
            Reason::NodesSilent,
            "More than half of the nodes with Pods of deployments are silent at once. That is taken for a fault of the network or \
             of the operator's own node, so nothing is replaced; gateways go on with whatever answers them. See `kubectl get \
             nodes`.",
        ));
    }
    let lost = |pod: &&Pod| subject.observed.state_of(pod) >= NodeState::Suspect;
    let nodes: BTreeSet<_> = pods.iter().chain(gateways).filter(lost).filter_map(|pod| pod.node.as_deref()).collect();
    (!nodes.is_empty()).then(|| {
        let nodes = nodes.into_iter().collect::<Vec<_>>().join(", ");
        Verdict::no(
            NodesReachable,
            Reason::NodeLost,
            format!(
                "Neither our Pods nor the kubelet answer on {nodes}. What ran there is replaced where accelerators are free, or \
                 waits for them or for the node. See `kubectl describe node {nodes}`."
            ),
        )
    })
}
