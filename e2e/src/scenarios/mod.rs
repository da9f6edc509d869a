//! The stories, and the order in which they are told.
//!
//! Phases follow one another, lanes of a phase run side by side, and the scenarios of a lane follow one another. Side by side
//! run those that leave the operator, the nodes and each other alone; what wants the scarce accelerator shares a lane.

mod autoscaling;
mod bad_input;
mod by_hand;
mod delete;
mod draining;
mod examples;
mod foreign;
mod guarded;
mod killed;
mod last_accelerator;
mod life_cycle;
mod node_loss;
mod observer;
mod placement;
mod quickstart;
mod quiet;
mod refused;
mod removing;
mod rolling;
mod scale;
mod suspend;
mod undecodable;
mod zero;

use anyhow::Result;
use futures::future::BoxFuture;

use crate::namespace::Namespace;
use crate::world::World;

/// Scenarios that follow one another.
pub type Lane = Vec<Scenario>;
/// Lanes that run side by side.
pub type Phase = Vec<Lane>;

/// One story.
pub struct Scenario {
    /// Its name; that of its namespace follows from it.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub story: &'static str,
    /// Where it can run.
    pub needs: Needs,
    /// Tells it, in a namespace of its own.
    pub run: fn(Namespace) -> BoxFuture<'static, Result<()>>,
}

/// What a scenario cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The lab, for this reason.
    Lab(&'static str),
    /// An operator that may be killed and uninstalled.
    Operator,
    /// A node with accelerators to spare.
    Accelerators,
}

/// All that a scenario cannot do without, beside a cluster with the images.
pub type Needs = &'static [Need];

/// What there is.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    lab: bool,
    operator: bool,
    accelerators: bool,
}

impl Offer {
    /// Of a world.
    pub fn of(world: &World) -> Self {
        Self {
            lab: world.cluster.lab().is_some(),
            operator: world.operator.is_ours(),
            accelerators: world.scarce.is_some(),
        }
    }
}

/// Why a scenario cannot be told here; `None` when it can.
pub fn missing(needs: Needs, offer: &Offer) -> Option<&'static str> {
    needs.iter().find_map(|need| match need {
        Need::Lab(why) => (!offer.lab).then_some(*why),
        Need::Operator => (!offer.operator).then_some("the operator is not ours to stop or watch"),
        Need::Accelerators => (!offer.accelerators).then_some(NO_ACCELERATORS),
    })
}

/// Said of everything that cannot be shown without accelerators.
const NO_ACCELERATORS: &str = "no node that takes Pods has accelerators to spare that the catalogue knows";

const ANY: Needs = &[];
const GPUS: Needs = &[Need::Accelerators];
const OPERATOR: Needs = &[Need::Operator];
const IMAGES: Needs = &[Need::Lab("needs the image of the weights and the container runtime of a lab")];
const FORWARD: Needs = &[Need::Lab("talks TLS to a Service, which the API server's proxy does not")];
const RACKS: Needs = &[Need::Lab("needs the simulated racks of a lab")];
const NODES: Needs = &[Need::Lab("cuts the power of a node"), Need::Operator];
const AUDIT: Needs = &[Need::Lab("needs the audit log of a lab"), Need::Operator];
const DEFINITION: Needs = &[Need::Lab("changes the CRD, which others may rely on"), Need::Operator];

macro_rules! scenario {
    ($module:ident, $name:literal, $needs:expr, $story:literal) => {
        Scenario { name: $name, story: $story, needs: $needs, run: |namespace| Box::pin($module::tell(namespace)) }
    };
}

/// All scenarios, in their order.
pub fn phases() -> Vec<Phase> {
    let first = scenario!(quickstart, "quickstart", IMAGES, "examples/quickstart, as it is, answers on one GPU");
    vec![vec![vec![first]], side_by_side(), vec![disturbing()]]
}

fn side_by_side() -> Phase {
    vec![
        vec![scenario!(
            guarded,
            "guarded",
            FORWARD,
            "API keys and TLS: missing Secrets are named, and taken when they come"
        )],
        vec![scenario!(quiet, "quiet", AUDIT, "nothing is written in 60 s after Ready")],
        vec![scenario!(
            autoscaling,
            "autoscaling",
            ANY,
            "from 1 to 10 requests per second, five replicas are wanted within 20 s; two who scale are one too many"
        )],
        vec![scenario!(zero, "zero", ANY, "nobody asks, and no replica runs; who asks then is held and answered")],
        vec![
            scenario!(suspend, "suspend", GPUS, "suspended, it frees its GPU, and comes back"),
            scenario!(
                last_accelerator,
                "last-accelerator",
                GPUS,
                "two want the last accelerators; when one goes the other gets them"
            ),
            scenario!(delete, "delete", GPUS, "deleted, it leaves nothing behind"),
        ],
        vec![
            scenario!(examples, "examples", ANY, "all are accepted by the API server, and quickstart-cpu answers"),
            scenario!(refused, "refused", ANY, "bad input is refused, with the field and what to do"),
            scenario!(
                bad_input,
                "bad-input",
                ANY,
                "other bad input is told within 10 s, hurts nobody else, can be mended"
            ),
        ],
        vec![
            scenario!(scale, "scale", ANY, "scaled from 1 to 2 and back through the scale subresource"),
            scenario!(removing, "removing", ANY, "a field that is removed has no effect any more"),
            scenario!(foreign, "foreign", ANY, "another's Service of the same name is left alone"),
        ],
        vec![
            scenario!(observer, "observer", ANY, "the status is what an independent observer sees"),
            scenario!(by_hand, "by-hand", ANY, "children deleted or edited by hand come back as planned"),
            scenario!(draining, "draining", ANY, "an answer outlasts the roll-out that replaces its replica"),
        ],
    ]
}

fn disturbing() -> Lane {
    vec![
        scenario!(undecodable, "undecodable", DEFINITION, "an object that cannot be read does not blind the operator"),
        scenario!(placement, "placement", RACKS, "simulated racks: what fits where, and how many"),
        scenario!(killed, "killed", OPERATOR, "the operator is killed under load, and no request is lost"),
        scenario!(rolling, "rolling", OPERATOR, "gateways and engines are rolled under load, and no request is lost"),
        scenario!(node_loss, "node-loss", NODES, "nodes are lost, cut off and back, the leader's too; clients go on"),
        scenario!(life_cycle, "life-cycle", AUDIT, "the chart goes and comes back over engines that serve"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn skipped(offer: Offer) -> Vec<&'static str> {
        let all = phases().into_iter().flatten().flatten();
        all.filter(|scenario| missing(scenario.needs, &offer).is_some()).map(|scenario| scenario.name).collect()
    }

    #[test]
    fn what_a_cluster_offers_decides_what_is_told_there() {
        let everything = Offer { lab: true, operator: true, accelerators: true };
        assert!(skipped(everything).is_empty());
        let of_the_lab = ["quickstart", "guarded", "quiet", "undecodable", "placement", "node-loss", "life-cycle"];
        assert_eq!(skipped(Offer { lab: false, ..everything }), of_the_lab);
        let of_the_operator = ["quiet", "undecodable", "killed", "rolling", "node-loss", "life-cycle"];
        assert_eq!(skipped(Offer { operator: false, ..everything }), of_the_operator);
        let of_accelerators = ["suspend", "last-accelerator", "delete"];
        assert_eq!(skipped(Offer { accelerators: false, ..everything }), of_accelerators);
    }

    #[test]
    fn names_are_unique_and_make_namespaces() {
        let names: Vec<_> = phases().into_iter().flatten().flatten().map(|scenario| scenario.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        for name in names {
            assert!(name.len() < 32 && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        }
    }
}
