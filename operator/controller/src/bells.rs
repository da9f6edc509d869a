//! Bells: gateways of deployments without a replica answer when somebody waits there, so that nobody waits for the next pass.
//!
//! For each such deployment one question is open at each of its gateways. It costs nothing while nobody comes: the gateway answers
//! when a request begins to wait, or after a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::canary::Prober;

/// A question stays open for so long.
const OPEN: Duration = Duration::from_secs(20);
/// From an answer, or none, to the next question: a request that waits for a replica that cannot start must not make a storm.
const PAUSE: Duration = Duration::from_secs(1);

/// All of them.
pub struct Bells {
    prober: Arc<dyn Prober>,
    rung: Arc<Notify>,
    hung: HashMap<String, Bell>,
}

/// Those of one deployment. They are taken down when it is dropped.
struct Bell {
    gateways: Vec<String>,
    listeners: Vec<AbortHandle>,
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.listeners.iter().for_each(AbortHandle::abort);
    }
}

impl Bells {
    /// None yet.
    pub fn new(prober: Arc<dyn Prober>) -> Self {
        Self { prober, rung: Arc::new(Notify::new()), hung: HashMap::new() }
    }

    /// Returns when one has rung since the last time.
    pub async fn ring(&self) {
        self.rung.notified().await;
    }

    /// These deployments have one at these gateways, and no others do.
    pub fn hang<'a>(&mut self, wanted: impl Iterator<Item = (&'a String, &'a [String])>) {
        let mut before = std::mem::take(&mut self.hung);
        for (uid, gateways) in wanted {
            let same = before.remove(uid).filter(|bell| bell.gateways == gateways);
            let bell = same.unwrap_or_else(|| self.bell(gateways));
            self.hung.insert(uid.clone(), bell);
        }
    }

    fn bell(&self, gateways: &[String]) -> Bell {
        let listen = |gateway: &String| {
            let (prober, rung, gateway) = (self.prober.clone(), self.rung.clone(), gateway.clone());
            tokio::spawn(async move { listen(&*prober, &rung, &gateway).await }).abort_handle()
        };
        Bell { gateways: gateways.to_vec(), listeners: gateways.iter().map(listen).collect() }
    }
}

async fn listen(prober: &dyn Prober, rung: &Notify, gateway: &str) {
    loop {
        match timeout(OPEN + PAUSE, prober.await_request(gateway, OPEN)).await {
            Ok(Ok(true)) => rung.notify_one(),
            Ok(Ok(false)) => {}
            Ok(Err(why)) => tracing::debug!(gateway, why, "does not say whether somebody waits"),
            Err(_) => tracing::debug!(gateway, "does not answer"),
        }
        sleep(PAUSE).await;
    }
}
