//! A deployment that scales, over time: what holds whatever its gateways tell.
//!
//! | file | tells |
//! |---|---|
//! | `world` | gateways, replicas that take a while, time |
//! | `holds` | properties |
//! | `words` | what the status says |
//! | `zero` | nobody asks, and then somebody does |

#![allow(clippy::unwrap_used, reason = "a test speaks by panicking")]

mod holds;
mod words;
mod world;
mod zero;
