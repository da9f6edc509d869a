//! Decisions of the operator: pure, total, without a client, a clock, files or an environment.
//!
//! | To find | Open |
//! |---|---|
//! | all that a decision may look at | [`observed`] |
//! | the order in which decisions are made | [`plan`](mod@plan) |
//! | one decision | [`decide`], one file each, the formula on top |
//! | what is told to the user | [`verdict`], [`facts`] |
//! | how a plan becomes Kubernetes objects | [`render`], one file per kind |
//! | what a gateway is told, and what it tells | [`gateway`], [`demand`] |
//! | facts about models, accelerators and engines | [`catalogue`], dated data |

pub mod catalogue;
pub mod decide;
pub mod demand;
pub mod facts;
pub mod gateway;
pub mod observed;
pub mod plan;
pub mod render;
pub mod verdict;

pub use observed::Observed;
pub use plan::{Plan, plan};
