//! Gateways that tell of a load, or do not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deepseek_core::demand::{ASKED, Demand};
use deepseek_testkit::World;
use tokio::time::Instant;

/// What all gateways count: the first one has all the requests, the others have none.
#[derive(Clone, Default)]
pub struct Traffic(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    begun: Option<Instant>,
    /// From this second on so many arrive each second.
    steps: Vec<(u64, u32)>,
    queued: u32,
    tale: Tale,
}

/// How gateways tell.
#[derive(Clone, Copy, Debug, Default)]
pub enum Tale {
    /// Well.
    #[default]
    Whole,
    /// Only the first so many do.
    Of(usize),
    /// The counts of that second, again and again.
    Frozen(u64),
}

/// Seconds that gateways have counted before anything here began.
const PAST: u64 = 1000;

impl Traffic {
    /// From now on so many requests arrive each second.
    pub fn arrive(&self, per_second: u32) {
        let mut inner = self.lock();
        let now = inner.now();
        inner.steps.push((now, per_second));
    }

    /// So many wait.
    pub fn wait(&self, queued: u32) {
        self.lock().queued = queued;
    }

    /// They tell in this way.
    pub fn tell(&self, tale: Tale) {
        self.lock().tale = tale;
    }

    /// Their counts stand still from now on.
    pub fn freeze(&self) {
        let mut inner = self.lock();
        let now = inner.now();
        inner.tale = Tale::Frozen(now);
    }

    /// What the gateway at this address tells.
    pub fn told(&self, world: &World, address: &str) -> Result<Demand, String> {
        let mut inner = self.lock();
        let mut gateways: Vec<_> = (world.objects("Pod").into_iter())
            .filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway")
            .filter_map(|pod| pod["status"]["podIP"].as_str().map(str::to_owned))
            .collect();
        gateways.sort();
        let at = gateways.iter().position(|ip| address.starts_with(&format!("{ip}:"))).ok_or("nobody is there")?;
        let now = match inner.tale {
            Tale::Of(count) if at >= count => return Err("no answer".into()),
            Tale::Frozen(second) => second,
            Tale::Whole | Tale::Of(_) => inner.now(),
        };
        let seconds = now.saturating_sub(ASKED as u64)..now;
        let rate = |second| inner.steps.iter().rev().find(|(from, _)| *from <= second).map_or(0, |(_, rate)| *rate);
        let arrivals: Vec<u32> = seconds.map(|second| if at == 0 { rate(second) } else { 0 }).collect();
        let queued = vec![if at == 0 { inner.queued } else { 0 }; arrivals.len()];
        let in_flight = arrivals.iter().zip(&queued).map(|(running, queued)| running + queued).collect();
        let waiting = queued.last().copied().unwrap_or(0);
        let (served, tokens) = (arrivals.clone(), arrivals.clone());
        Ok(Demand { seconds: now, served, tokens, in_flight, queued, arrivals, waiting })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn now(&mut self) -> u64 {
        PAST + self.begun.get_or_insert_with(Instant::now).elapsed().as_secs()
    }
}
