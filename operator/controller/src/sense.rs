//! The ear: asks the gateways of one deployment for their load.
//!
//! Each gateway remembers what it has counted, so that whoever asks for the first time knows as much as who asked before. An answer
//! that does not come, or cannot be, leaves the last one in place for a while: a single lost packet is no lost gateway. Zero is an
//! answer, silence is none.

use std::collections::HashMap;
use std::time::Duration;

use deepseek_core::decide::autoscale::heard::{Gateways, Telling};
use deepseek_core::demand::Demand;
use deepseek_core::observed::Pod;
use deepseek_core::render::ADMIN_PORT;

use crate::canary::Prober;
use crate::metrics::Metrics;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer counts for so long.
const KEPT: Duration = Duration::from_secs(15);

/// What was heard of the gateways of one deployment, by the UID of their Pods.
#[derive(Default)]
pub struct Ear(HashMap<String, Heard>);

struct Heard {
    demand: Demand,
    /// When it answered last.
    answered: Duration,
    /// When its counts went on last.
    advanced: Duration,
    known: bool,
}

impl Ear {
    /// Asks all gateways at once.
    pub async fn listen(&mut self, prober: &dyn Prober, metrics: &Metrics, gateways: &[Pod], now: Duration) {
        let asked = gateways.iter().filter_map(|pod| Some((pod, address(pod)?)));
        let answers = asked.map(|(pod, address)| async move {
            let answer = tokio::time::timeout(PATIENCE, prober.ask_demand(&address)).await;
            (pod, answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))))
        });
        for (pod, answer) in futures::future::join_all(answers).await {
            metrics.demands.with_label_values(&[if answer.is_ok() { "answered" } else { "failed" }]).inc();
            match answer {
                Ok(demand) => self.note(&pod.uid, demand, now),
                Err(why) => tracing::debug!(gateway = pod.name, why, "no load told"),
            }
        }
        self.0.retain(|uid, heard| {
            let pod = gateways.iter().find(|pod| pod.uid == *uid);
            heard.known = pod.is_some_and(should_tell);
            pod.is_some() && now.saturating_sub(heard.answered) <= KEPT
        });
    }

    fn note(&mut self, uid: &str, demand: Demand, now: Duration) {
        let stands = self.0.get(uid).filter(|before| before.demand.seconds == demand.seconds);
        let advanced = stands.map_or(now, |before| before.advanced);
        self.0.insert(uid.to_owned(), Heard { demand, answered: now, advanced, known: false });
    }

    /// What they tell.
    pub fn heard<'a>(&'a self, gateways: &[Pod]) -> Gateways<'a> {
        let known = gateways.iter().filter(|pod| should_tell(pod)).count();
        let telling =
            |heard: &'a Heard| Telling { demand: &heard.demand, advanced: heard.advanced, known: heard.known };
        Gateways { known: u32::try_from(known).unwrap_or(u32::MAX), told: self.0.values().map(telling).collect() }
    }
}

/// Where gateways can be asked.
pub fn addresses(gateways: &[Pod]) -> Vec<String> {
    gateways.iter().filter(|pod| !pod.terminating).filter_map(address).collect()
}

/// Clients are led to it.
fn should_tell(pod: &Pod) -> bool {
    pod.ready && !pod.terminating
}

fn address(pod: &Pod) -> Option<String> {
    Some(match pod.address.as_deref()? {
        v6 if v6.contains(':') => format!("[{v6}]:{ADMIN_PORT}"),
        v4 => format!("{v4}:{ADMIN_PORT}"),
    })
}
