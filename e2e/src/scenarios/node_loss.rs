//! Nodes are lost, cut off, and come back. Kubernetes with its defaults notices after a minute; clients notice a few seconds.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use deepseek_crds::condition::{ConditionType, Reason};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::deployed::{Deployed, TOLD};
use crate::fixtures::{TINY, real};
use crate::lab::{CLUSTER, Lab};
use crate::load::{Felt, Load, felt};
use crate::namespace::Namespace;
use crate::own_nodes::{self, PRODUCT, node_of, number};
use crate::progress::say;
use crate::wait::eventually;

const PER_SECOND: u32 = 10;
/// New requests succeed again within this time.
const GAP: Duration = Duration::from_secs(4);
/// From the fault to a replacement that answers: 15 s, and the engine's own start on a small machine.
const REPLACED: Duration = Duration::from_secs(30);
/// Every node of the lab.
const ALL: [&str; 5] = ["east-n1", "east-n2", "east-n3", "east-n4", "east-n5"];
/// Requests that may be lost between the moment when Kubernetes leads to no gateway any more and the operator's doing: a second of
/// them. Without it all would be, for five seconds and more.
const BETWEEN: usize = 10;
/// How long a cable is cut for the node to be taken for lost, and to be back before another replica answers for it.
const BLINK: Duration = Duration::from_millis(2800);
/// The second node is lost this long after the first.
const AFTER_THE_FIRST: Duration = Duration::from_secs(5);
/// New requests succeed again within this time when the operator that leads was on the lost node.
const GAP_WITHOUT_LEADER: Duration = Duration::from_secs(8);
/// Until another operator leads.
const ANOTHER_LEADS: Duration = Duration::from_secs(15);
/// Until a node that answers again takes Pods.
const USED_AGAIN: Duration = Duration::from_secs(60);

/// On nodes of its own: power lost with a spare node; a cable cut with the API server gone, for a moment, with no node to spare and
/// another one after it; the node of the operator that leads; kubelets that are merely frozen.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let lab = namespace.world.cluster.needed_lab()?;
    own_nodes::add(lab).await?;
    let told = lose_nodes(&namespace, lab).await;
    own_nodes::remove(lab).await?;
    told
}

async fn lose_nodes(namespace: &Namespace, lab: &Lab) -> Result<()> {
    only_one_taint_may_be_set(namespace).await?;
    let chat = namespace.apply(&real("chat", &namespace.world.options).on(PRODUCT).times(2)).await?;
    chat.is_ready().await?;
    chat.answers(TINY).await?;
    let story = Story { namespace, lab, chat };
    story.replaced_where_there_is_room().await?;
    let cut = story.without_the_api_server().await?;
    // goes on while that node comes back
    story.with_the_leader().await?;
    story.is_used_again(&cut).await?;
    story.back_before_it_is_replaced().await?;
    story.no_room_and_back_in_time().await?;
    story.every_kubelet_frozen().await
}

/// What the admission policy leaves of the right to patch nodes.
async fn only_one_taint_may_be_set(namespace: &Namespace) -> Result<()> {
    let operator = namespace.world.cluster.client_as(&namespace.world.operator.user().await?).await?;
    let nodes = Api::<Node>::all(operator);
    let taint = |key: &str, effect: &str| json!({"spec": {"taints": [{"key": key, "effect": effect}]}});
    let ours = "deepseek-operator.io/unreachable";
    let refused = [
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"annotations": {"a": "b"}}}),
        json!({"spec": {"unschedulable": true}}),
        taint("theirs", "NoSchedule"),
        taint(ours, "NoExecute"),
    ];
    let sent = async |patch: &Value| nodes.patch("east-n3", &PatchParams::default(), &Patch::Merge(patch)).await;
    for patch in &refused {
        let answer = sent(patch).await;
        let denied =
            matches!(&answer, Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy"));
        ensure!(denied, "{patch} is not refused: {:?}", answer.map(|node| node.spec));
    }
    sent(&taint(ours, "NoSchedule")).await.context("the one taint is refused")?;
    sent(&json!({"spec": {"taints": null}})).await.context("the taint cannot be taken away")?;
    Ok(())
}

struct Story<'a> {
    namespace: &'a Namespace,
    lab: &'a Lab,
    chat: Deployed,
}

impl Story<'_> {
    /// A node loses its power, and another one is free.
    async fn replaced_where_there_is_room(&self) -> Result<()> {
        let (lost, load) = (self.one_with_a_replica().await?, self.load().await?);
        let fault = load.now();
        self.fault("power", &lost).await?;
        self.serves_without(&lost, REPLACED).await?;
        say(format_args!(
            "replaced {:.1} s after the power of {lost} went",
            load.now().saturating_sub(fault).as_secs_f64()
        ));
        self.chat.is_ready().await?;
        is_short(&felt(&load.end().await, fault)?, GAP)?;
        ensure!(self.is_kept_off(&lost).await?, "{lost} has no taint");
        self.heal("power", &lost).await?;
        self.is_used_again(&lost).await?;
        self.chat.has_pods(2).await?;
        self.chat.is_ready().await
    }

    /// The API server is frozen when a cable is pulled: gateways judge for themselves. Returns the node.
    async fn without_the_api_server(&self) -> Result<String> {
        let (lost, load) = (self.one_with_a_replica().await?, self.load().await?);
        let fault = load.now();
        self.lab.call(&["fault", "freeze-api", CLUSTER]).await?;
        self.fault("cable", &lost).await?;
        tokio::time::sleep(Duration::from_secs(8)).await;
        self.lab.call(&["heal", "freeze-api", CLUSTER]).await?;
        is_short(&felt(&load.end().await, fault)?, GAP)?;
        self.serves_without(&lost, REPLACED).await?;
        self.heal("cable", &lost).await?;
        self.chat.has_pods(2).await?;
        self.chat.is_ready().await?;
        Ok(lost)
    }

    /// A cable is cut for a moment: whatever has been begun meanwhile, there are two replicas in the end, and they stay.
    async fn back_before_it_is_replaced(&self) -> Result<()> {
        let (lost, load) = (self.one_with_a_replica().await?, self.load().await?);
        let fault = load.now();
        self.fault("cable", &lost).await?;
        tokio::time::sleep(BLINK).await;
        self.heal("cable", &lost).await?;
        self.chat.has_pods(2).await?;
        self.chat.is_ready().await?;
        is_short(&felt(&load.end().await, fault)?, GAP)?;
        let settled = self.chat.pod_uids().await?;
        self.is_used_again(&lost).await?;
        ensure!(self.chat.pod_uids().await? == settled, "replicas were moved after the node was back");
        Ok(())
    }

    /// Every accelerator is taken when a cable is cut, and then another: the replicas wait, and are there again with their nodes.
    async fn no_room_and_back_in_time(&self) -> Result<()> {
        self.chat.scale(3).await?;
        self.chat.is_ready().await?;
        let (load, before) = (self.load().await?, self.chat.pod_uids().await?);
        let [first, second] = self.two_with_a_replica().await?;
        let fault = load.now();
        self.fault("cable", &first).await?;
        tokio::time::sleep(AFTER_THE_FIRST).await;
        let again = load.now();
        self.fault("cable", &second).await?;
        self.chat.says(ConditionType::Placed, "False", Reason::InsufficientAccelerators, TOLD).await?;
        let said = self.chat.says(ConditionType::NodesReachable, "False", Reason::NodeLost, TOLD).await?;
        ensure!(said.contains(&first), "{first} is not named: {said}");
        tokio::time::sleep(AFTER_THE_FIRST).await;
        let records = load.end().await;
        let (until, after): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.at < again);
        is_short(&felt(&until, fault)?, GAP)?;
        is_short(&felt(&after, again)?, GAP)?;
        for node in [&first, &second] {
            self.heal("cable", node).await?;
        }
        self.chat.is_ready().await?;
        ensure!(self.chat.pod_uids().await? == before, "a replica was replaced, though there is no room for another");
        self.is_used_again(&first).await?;
        self.is_used_again(&second).await
    }

    /// The node with the operator that leads loses its power: the other operator goes on where it was.
    async fn with_the_leader(&self) -> Result<()> {
        let operator = &self.namespace.world.operator;
        let (lost, holder, load) = (operator.leader_node().await?, operator.holder().await?, self.load().await?);
        let fault = load.now();
        self.fault("power", &lost).await?;
        eventually("another operator to lead", ANOTHER_LEADS, || async {
            ensure!(operator.holder().await? != holder, "{holder} still leads");
            Ok(())
        })
        .await?;
        tokio::time::sleep(AFTER_THE_FIRST).await;
        is_short(&felt(&load.end().await, fault)?, GAP_WITHOUT_LEADER)?;
        self.heal("power", &lost).await?;
        operator.is_ready().await?;
        self.is_used_again(&lost).await?;
        self.chat.is_ready().await
    }

    /// Kubernetes takes all nodes for lost, and every Pod on them; all of them serve.
    async fn every_kubelet_frozen(&self) -> Result<()> {
        let (load, before) = (self.load().await?, self.chat.pod_uids().await?);
        let fault = load.now();
        for node in ALL {
            self.fault("freeze-kubelet", node).await?;
        }
        eventually("Kubernetes to call all nodes NotReady", Duration::from_secs(90), || async {
            for node in ALL {
                ensure!(!self.is_node_ready(node).await?, "{node} is Ready");
            }
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let felt = felt(&load.end().await, fault)?;
        say(format_args!("all kubelets frozen: {} lost within {:.1} s", felt.lost, felt.gap.as_secs_f64()));
        ensure!(self.held().await?.is_some(), "nobody leads to the gateways");
        ensure!(felt.left_alone() <= BETWEEN, "{} requests were lost: {:?}", felt.left_alone(), felt.example);
        ensure!(felt.told == 0, "{} streams were cut", felt.told);
        ensure!(self.chat.pod_uids().await? == before, "what still serves was touched");
        for node in ALL {
            ensure!(!self.is_kept_off(node).await?, "{node}, which serves, was tainted");
            self.heal("freeze-kubelet", node).await?;
        }
        self.chat.is_ready().await?;
        eventually("Kubernetes to lead to the gateways again", TOLD, || async {
            ensure!(self.held().await?.is_none(), "they are still held");
            Ok(())
        })
        .await
    }

    async fn held(&self) -> Result<Option<EndpointSlice>> {
        Ok(self.namespace.api::<EndpointSlice>().get_opt("chat-held").await?)
    }

    async fn one_with_a_replica(&self) -> Result<String> {
        node_of(self.chat.pods().await?.first().context("no Pod")?)
    }

    async fn two_with_a_replica(&self) -> Result<[String; 2]> {
        match &self.chat.pods().await?[..] {
            [one, other, ..] => Ok([node_of(one)?, node_of(other)?]),
            pods => bail!("{} Pods", pods.len()),
        }
    }

    async fn load(&self) -> Result<Load> {
        let load = Load::start(&self.chat.service().await?, TINY, PER_SECOND);
        eventually("the load to flow", TOLD, || async {
            ensure!(load.answered() >= 20, "{} answers", load.answered());
            Ok(())
        })
        .await?;
        Ok(load)
    }

    async fn fault(&self, kind: &str, node: &str) -> Result<()> {
        say(format_args!("{kind}: {node}"));
        self.lab.call(&["fault", kind, CLUSTER, number(node)]).await.map(drop)
    }

    async fn heal(&self, kind: &str, node: &str) -> Result<()> {
        self.lab.call(&["heal", kind, CLUSTER, number(node)]).await.map(drop)
    }

    /// Two replicas are Ready on other nodes.
    async fn serves_without(&self, lost: &str, limit: Duration) -> Result<()> {
        eventually("two replicas on other nodes", limit, || async {
            let pods = self.chat.pods().await?;
            let alive = pods.iter().filter(|pod| node_of(pod).is_ok_and(|node| node != lost));
            let ready = alive.filter(|pod| crate::operator::is_ready(pod)).count();
            ensure!(ready == 2, "{ready} are Ready elsewhere");
            Ok(())
        })
        .await
    }

    async fn is_used_again(&self, name: &str) -> Result<()> {
        eventually("the node to be used again", USED_AGAIN, || async {
            ensure!(!self.is_kept_off(name).await?, "{name} is still tainted");
            Ok(())
        })
        .await
    }

    async fn is_kept_off(&self, name: &str) -> Result<bool> {
        let taints = self.node(name).await?.spec.and_then(|spec| spec.taints).unwrap_or_default();
        Ok(taints.iter().any(|taint| taint.key == "deepseek-operator.io/unreachable"))
    }

    async fn is_node_ready(&self, name: &str) -> Result<bool> {
        let conditions = self.node(name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        Ok(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
    }

    async fn node(&self, name: &str) -> Result<Node> {
        Ok(Api::<Node>::all(self.namespace.client()).get(name).await?)
    }
}

fn is_short(felt: &Felt, limit: Duration) -> Result<()> {
    let seconds = |time: Duration| time.as_secs_f64();
    say(format_args!(
        "clients: {} lost within {:.1} s, {} streams told of their end, {} broken off, longest wait {:.1} s",
        felt.lost,
        seconds(felt.gap),
        felt.told,
        felt.untold,
        seconds(felt.longest)
    ));
    ensure!(felt.gap <= limit, "new requests failed for {:.1} s: {:?}", seconds(felt.gap), felt.example);
    Ok(())
}
