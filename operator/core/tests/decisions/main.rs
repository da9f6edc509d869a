//! Decisions, as tables: what is said to whom, and what is planned for what.
//!
//! | file | tells |
//! |---|---|
//! | `scene` | deployments, nodes and Pods to decide about |
//! | `accept` | which specs are refused, and in which words |
//! | `place` | which accelerators are taken |
//! | `conditions` | every reason, and what leads to it |
//! | `examples` | what lies under `examples/` is taken |
//! | `render` | what becomes of a plan, compared with `golden/` (`UPDATE=1` rewrites it) |
//! | `properties` | what holds for every spec and every world |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "decisions touch no files, but their tests compare them with some")]

mod accept;
mod conditions;
mod examples;
mod place;
mod properties;
mod render;
mod scene;
