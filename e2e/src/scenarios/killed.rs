//! Requests do not pass through the operator: it is killed under load, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::task::JoinSet;

use crate::door::Door;
use crate::fixtures::{TINY, real, simulated};
use crate::namespace::Namespace;
use crate::progress::say;
use crate::wait::eventually;

const AT_ONCE: usize = 4;
/// Between the requests of one client: the engine shares its processors with everything else here.
const PAUSE: Duration = Duration::from_millis(50);

/// Every replica of the operator is killed at once, a new one takes over, and no request is lost.
pub async fn tell(namespace: Namespace) -> Result<()> {
    let operator = &namespace.world.operator;
    let chat = namespace.apply(&real("chat", &namespace.world.options).times(2)).await?;
    chat.is_ready().await?;
    chat.answers(TINY).await?;
    let pods = chat.pod_uids().await?;
    let load = Load::start(&chat.service().await?);
    let holder = operator.holder().await?;
    eventually("the load to flow", Duration::from_secs(10), || async {
        ensure!(load.answered() >= 20, "{} answers", load.answered());
        Ok(())
    })
    .await?;

    operator.kill().await?;
    operator.is_ready().await?;
    ensure!(operator.holder().await? != holder, "the lease is still held by {holder:?}, who was killed");
    let fresh = namespace.apply(&simulated("fresh")).await?;
    fresh.is_ready().await?;
    chat.is_ready().await?;
    let answered = load.end().await?;
    say(format_args!("{answered} requests were answered meanwhile, none was lost"));
    ensure!(chat.pod_uids().await? == pods, "engines were replaced");
    Ok(())
}

/// Steady requests, until it is ended.
struct Load {
    clients: JoinSet<Result<()>>,
    answered: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Load {
    fn start(door: &Door) -> Self {
        let (answered, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for _ in 0..AT_ONCE {
            clients.spawn(client(door.clone(), answered.clone(), over.clone()));
        }
        Self { clients, answered, over }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    async fn end(mut self) -> Result<usize> {
        self.over.store(true, Ordering::Relaxed);
        let mut lost = Vec::new();
        while let Some(done) = self.clients.join_next().await {
            if let Err(error) = done? {
                lost.push(format!("{error:#}"));
            }
        }
        if !lost.is_empty() {
            bail!("requests were lost after {} were answered: {}", self.answered(), lost.join("; "));
        }
        Ok(self.answered())
    }
}

/// The first request that is lost ends it.
async fn client(door: Door, answered: Arc<AtomicUsize>, over: Arc<AtomicBool>) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        door.chat(TINY, 8).await?;
        answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
