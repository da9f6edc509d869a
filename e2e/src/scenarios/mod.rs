//! The stories, and the order in which they are told.
//!
//! Phases follow one another, lanes of a phase run side by side, and the scenarios of a lane follow one another. Side by side
//! run those that leave the operator, the nodes and each other alone; what wants the scarce accelerator shares a lane.

mod bad_input;
mod by_hand;
mod delete;
mod examples;
mod foreign;
mod killed;
mod last_accelerator;
mod life_cycle;
mod observer;
mod placement;
mod quickstart;
mod quiet;
mod refused;
mod removing;
mod scale;
mod suspend;
mod undecodable;

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
pub enum Needs {
    /// Any cluster with the images.
    Cluster,
    /// The lab, for this reason.
    Lab(&'static str),
    /// An operator that may be killed and uninstalled.
    Operator,
    /// Both, for this reason.
    LabAndOperator(&'static str),
}

impl Needs {
    /// What is missing here.
    pub fn missing(self, world: &World) -> Option<&'static str> {
        let (lab, operator) = match self {
            Self::Cluster => (None, false),
            Self::Lab(why) => (Some(why), false),
            Self::Operator => (None, true),
            Self::LabAndOperator(why) => (Some(why), true),
        };
        lab.filter(|_| world.cluster.lab().is_none())
            .or_else(|| (operator && !world.operator.is_ours()).then_some("the operator is not ours to stop or watch"))
    }
}

const GPUS: &str = "needs the accelerators of a lab";
const AUDIT: &str = "needs the audit log of a lab";

macro_rules! scenario {
    ($name:literal, $module:ident, $needs:expr, $story:literal) => {
        Scenario { name: $name, story: $story, needs: $needs, run: |namespace| Box::pin($module::tell(namespace)) }
    };
}

/// All scenarios, in their order.
pub fn phases() -> Vec<Phase> {
    let lab = Needs::Lab(GPUS);
    vec![
        vec![vec![scenario!("quickstart", quickstart, lab, "examples/quickstart, as it is, answers on one GPU")]],
        vec![
            vec![scenario!("quiet", quiet, Needs::LabAndOperator(AUDIT), "nothing is written in 60 s after Ready")],
            vec![
                scenario!(
                    "last-accelerator",
                    last_accelerator,
                    lab,
                    "two want the last GPU; the second gets it when the first goes"
                ),
                scenario!("suspend", suspend, lab, "suspended, it frees its GPU, and comes back"),
                scenario!("delete", delete, lab, "deleted, it leaves nothing behind"),
            ],
            vec![
                scenario!(
                    "examples",
                    examples,
                    Needs::Cluster,
                    "every example is accepted; the one for any cluster answers"
                ),
                scenario!("refused", refused, Needs::Cluster, "bad input is refused, with the field and what to do"),
                scenario!(
                    "bad-input",
                    bad_input,
                    Needs::Cluster,
                    "what cannot work is told within 10 s, hurts nobody else, and can be mended"
                ),
            ],
            vec![
                scenario!("scale", scale, Needs::Cluster, "scaled from 1 to 2 and back through the scale subresource"),
                scenario!("removing", removing, Needs::Cluster, "a field that is removed has no effect any more"),
                scenario!("foreign", foreign, Needs::Cluster, "another's Service of the same name is left alone"),
            ],
            vec![
                scenario!("observer", observer, Needs::Cluster, "the status is what an independent observer sees"),
                scenario!(
                    "by-hand",
                    by_hand,
                    Needs::Cluster,
                    "children deleted or edited by hand come back as planned"
                ),
            ],
        ],
        vec![vec![
            scenario!(
                "undecodable",
                undecodable,
                Needs::LabAndOperator("changes the CRD"),
                "an object that cannot be read does not blind the operator"
            ),
            scenario!("placement", placement, lab, "simulated racks: what fits where, and how many"),
            scenario!("killed", killed, Needs::Operator, "the operator is killed under load, and no request is lost"),
            scenario!(
                "life-cycle",
                life_cycle,
                Needs::LabAndOperator(AUDIT),
                "the chart is uninstalled and installed again over serving engines"
            ),
        ]],
    ]
}
