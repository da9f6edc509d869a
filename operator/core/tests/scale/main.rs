//! How many replicas: what Kubernetes does, what we do otherwise, and what holds whatever comes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test speaks")]

mod guards;
mod hpa;
mod loops;
mod metrics;
mod properties;
mod scene;
