//! The fake world for tests: an API server that behaves, faults on command, fixtures that read as sentences.
//!
//! A [`World`] stands in for a cluster. [`World::client`] gives a real `kube::Client` whose requests it
//! answers in memory, by the rules of a real server: no expectations, no order, only behaviour. Tests
//! drive the real controller against it and assert what the world looks like in the end.
//!
//! ```
//! use deepseek_testkit::fixtures::{node, pod};
//! use deepseek_testkit::{Fault, World};
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::api::{Api, DeleteParams};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let world = World::new();
//! world.put(node("n1").with_gpus(8, "NVIDIA-H100-80GB-HBM3"));
//! world.put(pod("chat-0").within("ai").asking("nvidia.com/gpu", 8));
//! world.settle();
//! assert_eq!(world.object("Pod", "ai", "chat-0").unwrap()["status"]["phase"], "Running");
//!
//! // The next request is carried out, yet its answer is lost.
//! world.fail_at(1, Fault::DropAfterApply);
//! let pods: Api<Pod> = Api::namespaced(world.client(), "ai");
//! assert!(pods.delete("chat-0", &DeleteParams::default()).await.is_err());
//! assert!(world.objects("Pod").is_empty());
//! # }
//! ```
//!
//! Tests that wait use a paused clock (`#[tokio::test(start_paused = true)]`): back-offs and time-outs then
//! cost nothing, and [`World::quiet_for`] is exact.
//!
//! # Where it is simpler than a real server
//!
//! No schema for custom kinds (defaults, CEL): hook [`World::admit`] or use a real server. Strategic merge
//! patches are merge patches. No authorisation: plan a [`Fault::Error`] of 403. Pods may be changed freely,
//! budgets do not stop deletions, no endpoints are made for Services, and the scheduler knows resources,
//! selectors, required node affinity and taints, but neither affinity between pods nor preferences.
//! Nothing is evicted from silent nodes: a test that wants it removes the pods.
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
