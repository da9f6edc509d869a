//! A fake world: a cluster whose API server behaves, and which does what a test says.
//!
//! | file | holds |
//! |---|---|
//! | `stage` | objects: put, read, edit, remove; kinds; admission |
//! | `control` | clock, actors, faults, watches, reads |
//! | `account` | requests, snapshots, waiting |

mod account;
mod control;
mod stage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;

use crate::fixtures::namespace;
use crate::server::ApiServer;
use crate::state::Heart;

/// When every world begins, unless a test says otherwise.
pub const DAWN: &str = "2026-01-01T00:00:00Z";

/// The user of [`World::client`].
pub const OPERATOR: &str = "operator";

/// A fake world. Clones share it; several worlds are several clusters.
#[derive(Clone)]
pub struct World {
    heart: Arc<Heart>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world with two namespaces, `default` and `kube-system`, and nothing else, at [`DAWN`].
    ///
    /// # Panics
    /// Never: the dawn is a valid time.
    pub fn new() -> Self {
        let world = Self { heart: Heart::new(DAWN.parse::<Timestamp>().expect("the dawn is a valid time")) };
        world.put(namespace("default"));
        world.put(namespace("kube-system"));
        world
    }

    /// A client for the operator; must be called within a tokio runtime.
    pub fn client(&self) -> Client {
        self.client_as(OPERATOR)
    }

    /// A client for a user; a crash by command kills all clients of one user at once.
    pub fn client_as(&self, user: &str) -> Client {
        let server = ApiServer { heart: Arc::clone(&self.heart), user: user.into() };
        Client::new(server, "default")
    }
}
