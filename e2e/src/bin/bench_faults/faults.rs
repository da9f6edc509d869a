//! The faults, and how each is made.

use std::time::Duration;

use anyhow::Result;
use deepseek_e2e::bench::rig::Rig;
use deepseek_e2e::lab::CLUSTER;
use deepseek_e2e::own_nodes::number;

/// One kind of fault.
pub struct Fault {
    /// For programs.
    pub name: &'static str,
    /// For people.
    pub told: &'static str,
    /// What the gateway or the operator does about it.
    pub answer: &'static str,
    /// How long it lasts.
    pub lasts: Duration,
    /// In which lab it is made.
    pub lane: Lane,
    kind: Kind,
}

/// Labs side by side, with faults of about the same length in each. Long ones have few clients: they last for an hour beside the
/// short ones, which need the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Seconds, in one place.
    Short,
    /// A minute, at all nodes.
    Nodes,
    /// Five minutes, at the control plane.
    ControlPlane,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Short, Self::Nodes, Self::ControlPlane];

    /// What its lab has behind the id of the environment.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Short => "",
            Self::Nodes => "n",
            Self::ControlPlane => "c",
        }
    }

    /// Requests a second, when the short ones have so many.
    pub fn per_second(self, short: u32) -> u32 {
        if self == Self::Short { short } else { short.div_ceil(5) }
    }
}

enum Kind {
    /// A container of an engine.
    Engine(&'static str),
    /// A container of a gateway.
    Gateway(&'static str),
    /// The node of an engine.
    Node(&'static str),
    /// The node of the operator that leads.
    LeaderNode(&'static str),
    /// The control plane.
    Cluster(&'static str),
    /// Every node is cut from the API server.
    AllKubelets,
    /// Something of every node.
    AllNodes(&'static str),
}

/// All of them.
pub fn all() -> Vec<Fault> {
    let fault = |name, told, answer, seconds, lane, kind| Fault {
        name,
        told,
        answer,
        lasts: Duration::from_secs(seconds),
        lane,
        kind,
    };
    vec![
        fault(
            "engine-killed",
            "an engine's process is killed",
            "refused connections: out at once; what nobody has seen is sent to another replica",
            8,
            Lane::Short,
            Kind::Engine("kill-container"),
        ),
        fault(
            "engine-frozen",
            "an engine is frozen (SIGSTOP): it takes connections and says nothing",
            "three probes fail: whoever waits for its first byte is served by another replica",
            25,
            Lane::Short,
            Kind::Engine("freeze-container"),
        ),
        fault(
            "gateway-killed",
            "a gateway's process is killed",
            "its connections are reset; the next ones go to the other gateway",
            8,
            Lane::Short,
            Kind::Gateway("kill-container"),
        ),
        fault(
            "power",
            "an engine's node loses its power",
            "probes fail, the node is suspect within 3 s, the replica is started on the spare node",
            25,
            Lane::Short,
            Kind::Node("power"),
        ),
        fault(
            "cable",
            "an engine's node loses its network: a black hole",
            "the same",
            25,
            Lane::Short,
            Kind::Node("cable"),
        ),
        fault(
            "leader-power",
            "the node of the operator's leader loses its power, and with it perhaps a gateway",
            "the other replica leads after 6 s and has been listening all the while; gateways need neither of them",
            30,
            Lane::Short,
            Kind::LeaderNode("power"),
        ),
        fault(
            "kubelets-cut",
            "every kubelet is cut from the API server for 75 s: Kubernetes calls all nodes NotReady",
            "nothing: what answers probes is used",
            75,
            Lane::Nodes,
            Kind::AllKubelets,
        ),
        fault(
            "kubelets-frozen",
            "every kubelet is frozen for 75 s: Kubernetes calls all nodes NotReady, and Services lead to none of their Pods",
            "the operator leads to gateways that answer by a slice of its own",
            75,
            Lane::Nodes,
            Kind::AllNodes("freeze-kubelet"),
        ),
        fault(
            "api-stopped",
            "the API server is stopped for five minutes",
            "nothing: gateways know their engines and go on",
            300,
            Lane::ControlPlane,
            Kind::Cluster("stop-api"),
        ),
    ]
}

impl Fault {
    /// Makes it.
    ///
    /// # Errors
    /// When the lab does not obey.
    pub async fn make(&self, rig: &Rig) -> Result<()> {
        match &self.kind {
            Kind::Engine(fault) => {
                let (node, pod) = rig.an_engine().await?;
                rig.fault(&[fault, CLUSTER, &node, &pod]).await
            }
            Kind::Gateway(fault) => {
                let (node, pod) = rig.a_gateway().await?;
                rig.fault(&[fault, CLUSTER, &node, &pod]).await
            }
            Kind::Node(fault) => rig.fault(&[fault, CLUSTER, &rig.an_engine().await?.0]).await,
            Kind::LeaderNode(fault) => {
                let node = rig.world.operator.leader_node().await?;
                rig.fault(&[fault, CLUSTER, number(&node)]).await
            }
            Kind::Cluster(fault) => rig.fault(&[fault, CLUSTER]).await,
            Kind::AllNodes(fault) => {
                for number in 1..=5 {
                    rig.fault(&[fault, CLUSTER, &number.to_string()]).await?;
                }
                Ok(())
            }
            Kind::AllKubelets => {
                for number in 1..=5 {
                    rig.fault(&["block-api", &format!("{CLUSTER}-n{number}"), CLUSTER]).await?;
                }
                Ok(())
            }
        }
    }
}
