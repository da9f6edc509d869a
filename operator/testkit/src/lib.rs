//! The fake world for tests: an API server that behaves, faults on command, fixtures that read as sentences.
//!
//! A [`World`] stands in for a cluster. [`World::client`] gives a real `kube::Client` whose requests it
//! answers in memory, by the rules of a real server: no expectations, no order, only behaviour. Tests
//! drive the real controller against it and assert what the world looks like in the end.
//!
//! | module | holds |
//! |---|---|
//! | `world` | [`World`]: the stage, the commands, the accounts |
//! | `server` | the API server as clients see it |
//! | `cluster` | what is stored, and how it changes |
//! | `apply` | server-side apply |
//! | `patch`, `select` | other patches; selectors |
//! | `actors` | the rest of Kubernetes: Deployments, scheduler, kubelets |
//! | `faults`, `journal` | what goes wrong; what was asked |
//! | `snapshot` | what a world looks like, to compare |
//! | [`fixtures`] | objects for tests |
//! | `kinds`, [`refusal`] | the kinds served; errors in `metav1.Status` form |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "only tests use this crate: a panic is how it speaks"
)]

mod actors;
mod apply;
mod cluster;
mod faults;
pub mod fixtures;
mod journal;
mod kinds;
mod patch;
pub mod refusal;
mod select;
mod server;
mod snapshot;
mod state;
mod world;

pub use faults::{Alarm, Fault, When};
pub use journal::{Mark, Record};
pub use kinds::Kind;
pub use snapshot::Snapshot;
pub use world::{DAWN, OPERATOR, World};
