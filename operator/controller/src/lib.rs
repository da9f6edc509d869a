//! The loop: watch → observe → plan → apply → report, and the tasks around it.
//!
//! | To find | Open |
//! |---|---|
//! | how everything is started and stopped | [`mod@run`] |
//! | which resources are watched | [`watch`] |
//! | which deployments an event wakes | [`wake`] |
//! | the five steps of one pass | [`reconcile`] |
//! | how stores become one plain value | [`observe`] |
//! | how planned objects are written, and others deleted | [`apply`], [`children`] |
//! | whether an object already is as planned | [`covers`] |
//! | whose an object of the same name is | [`belonging`] |
//! | what we wrote and the stores do not show yet | [`memory`] |
//! | how the status and events are written, and how often | [`report`], [`pace`] |
//! | when engines are asked for a token, and how | [`sentry`], [`canary`] |
//! | how gateways are asked for the load | [`sense`] |
//! | how the number of replicas follows it | [`scaler`] |
//! | who else writes that number | [`writers`] |
//! | how somebody who asks wakes a deployment without a replica | [`bells`] |
//! | which Pods are ours, and how they are | [`ours`] |
//! | which nodes are silent, and who keeps Pods off them | [`silence`], `knock`, [`keep_off`] |
//! | who may write | [`lease`] |
//! | connections to the API server and their time limits | [`clients`] |
//! | `/livez`, `/readyz`, `/metrics`, `/debug/state` | [`admin`] |

pub mod admin;
pub mod apply;
pub mod bells;
pub mod belonging;
pub mod canary;
pub mod children;
pub mod clients;
pub mod covers;
pub mod keep_off;
mod knock;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod ours;
pub mod pace;
pub mod packed;
pub mod reconcile;
pub mod report;
pub mod run;
pub mod scaler;
pub mod seen;
pub mod sense;
pub mod sentry;
pub mod silence;
pub mod wake;
pub mod watch;
pub mod writers;

pub use run::{Options, run};

/// Field manager of the number of replicas where it follows the load.
pub const SCALE_MANAGER: &str = "deepseek-scale";
/// Field manager of every object that the operator writes, and controller name in its events.
pub const FIELD_MANAGER: &str = "deepseek-operator";
