//! What a worker sees of the world: configuration, keys, replicas. Replaced as a whole when something changes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use deepseek_core::gateway::GatewayConfig;

use crate::admission::Admission;
use crate::budget::RetryBudget;
use crate::health::{Health, State};
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::replica::Replica;
use crate::trace::Spans;

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The configuration.
    pub config: Arc<GatewayConfig>,
    /// Who has an API key.
    pub keys: Arc<Keys>,
    /// The replicas that exist.
    pub replicas: Arc<[Arc<Replica>]>,
}

impl Scene {
    /// Whether any replica gets traffic.
    pub fn is_served(&self) -> bool {
        self.replicas.iter().any(|replica| replica.is_up())
    }
}

/// What all workers share.
pub struct Shared {
    scene: RwLock<Arc<Scene>>,
    /// The queue.
    pub admission: Arc<Admission>,
    /// Requests that may be tried again.
    pub budget: RetryBudget,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Spans that have ended.
    pub spans: Spans,
}

/// A replica that should be known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Found {
    /// Name of its Pod.
    pub name: String,
    /// Where its engine listens.
    pub address: SocketAddr,
    /// Its Pod has been told to stop.
    #[serde(default)]
    pub leaving: bool,
}

impl Shared {
    /// With this configuration, and no replica yet.
    pub fn new(config: GatewayConfig, keys: Keys, metrics: Arc<Metrics>) -> Arc<Self> {
        let scene = Scene { config: Arc::new(config), keys: Arc::new(keys), replicas: Arc::new([]) };
        Arc::new(Self {
            scene: RwLock::new(Arc::new(scene)),
            admission: Admission::new(),
            budget: RetryBudget::new(),
            metrics,
            spans: Spans::new(),
        })
    }

    /// As it is now.
    pub fn scene(&self) -> Arc<Scene> {
        self.scene.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes another configuration. Replicas whose limit changes are replaced; what runs there ends in peace.
    pub fn configure(&self, config: GatewayConfig, keys: Keys) {
        let limit = config.max_concurrent_sequences;
        self.change(|scene| {
            let same = scene.config.max_concurrent_sequences == limit;
            let again = |replica: &Arc<Replica>| {
                let health = if replica.state() == State::Up { Health::trusted() } else { Health::new() };
                let again = Replica::new(&replica.name, replica.address, limit, health);
                again.set_leaving(replica.found().leaving);
                Arc::new(again)
            };
            let replicas = if same { scene.replicas.clone() } else { scene.replicas.iter().map(again).collect() };
            Scene { config: Arc::new(config), keys: Arc::new(keys), replicas }
        });
        self.admission.given_back();
    }

    /// Takes another set of replicas; who stays keeps its health. `health` is that of new ones.
    pub fn replace(&self, found: &[Found], health: Health) {
        self.change(|scene| {
            let known: HashMap<_, _> =
                scene.replicas.iter().map(|replica| ((&*replica.name, replica.address), replica)).collect();
            let limit = scene.config.max_concurrent_sequences;
            let replicas = found.iter().map(|found| {
                let known = known.get(&(&*found.name, found.address)).map(|replica| Arc::clone(replica));
                let replica =
                    known.unwrap_or_else(|| Arc::new(Replica::new(&found.name, found.address, limit, health)));
                replica.set_leaving(found.leaving);
                replica
            });
            Scene { replicas: replicas.collect(), ..scene.clone() }
        });
        self.admission.given_back();
    }

    fn change(&self, change: impl FnOnce(&Scene) -> Scene) {
        let mut scene = self.scene.write().unwrap_or_else(PoisonError::into_inner);
        *scene = Arc::new(change(&scene));
    }
}
