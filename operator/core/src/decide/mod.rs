//! Decisions, one file each, in the order in which [`plan`](crate::plan()) makes them.

pub mod accept;
pub mod autoscale;
pub mod conditions;
pub mod fit;
pub mod gateway;
pub mod node_loss;
pub mod place;
pub mod reach;
pub mod rollout;
pub mod scale;
pub mod switch;
pub mod trouble;
