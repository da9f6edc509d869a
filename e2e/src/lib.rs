//! End-to-end scenarios: the operator on real Kubernetes, from outside, as a user and an administrator see it.
//!
//! | To find | Open |
//! |---|---|
//! | the stories themselves | [`scenarios`], one file each |
//! | what they are told in: deployments that should be, and how they turn out | [`fixtures`], [`deployed`], [`namespace`] |
//! | nodes that may be broken | [`own_nodes`] |
//! | what benchmarks share | [`bench`] |
//! | the cluster, the lab around it, the operator in it | [`cluster`], [`lab`], [`operator`] |
//! | requests to engines, and a steady load of them | [`door`], [`load`] |
//! | who wrote what | [`audit`] |
//! | waiting, and what is shown meanwhile | [`wait`], [`progress`] |
//! | flags, order, results | [`options`], [`run`] |
//! | what the benchmarks in `bin/` share | [`bench`] |

pub mod audit;
pub mod bench;
pub mod cluster;
pub mod command;
pub mod deployed;
pub mod door;
pub mod fixtures;
pub mod lab;
pub mod load;
pub mod namespace;
pub mod operator;
pub mod options;
pub mod own_nodes;
pub mod progress;
pub mod run;
pub mod scarce;
pub mod scenarios;
pub mod wait;
pub mod world;
