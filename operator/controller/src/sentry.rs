//! The fast loop: asks engines for a token. It only looks; deployments whose answer changes are woken.
//!
//! A Pod is asked as soon as the kubelet calls it Ready, then every [`Rhythm::healthy`] while it answers and every
//! [`Rhythm::failing`] while it does not. A gateway is asked what it lacks while the kubelet does not call it Ready. One that has answered before counts as failed after three misses in a row, so that a
//! single slow answer under load is not taken for an outage.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deepseek_core::observed::{Canary, Component};
use deepseek_core::render::{ADMIN_PORT, DEPLOYMENT_LABEL, PORT, SERVED_NAMES};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio::time::Instant;

use crate::canary::Prober;
use crate::metrics::Metrics;
use crate::ours::{address, belongs, component, is_ready, our_pods};
use crate::seen::SeenPod;
use crate::wake::Waker;
use crate::watch::Guarded;

/// Misses in a row after which a Pod that has answered before counts as failed.
const MISSES: u32 = 3;
/// Canaries under way at once.
const AT_ONCE: usize = 32;
/// How often the list of Pods is looked through.
const LOOK: Duration = Duration::from_millis(200);

/// How often engines are asked.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// While they answer.
    pub healthy: Duration,
    /// While they do not.
    pub failing: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { healthy: Duration::from_secs(15), failing: Duration::from_secs(1), timeout: Duration::from_secs(20) }
    }
}

/// What the canaries saw last.
#[derive(Clone, Default)]
pub struct Canaries(Arc<Mutex<HashMap<String, Record>>>);

#[derive(Clone, Debug)]
struct Record {
    seen: Option<Canary>,
    misses: u32,
    due: Instant,
    under_way: bool,
}

impl Record {
    /// Never asked, and therefore due.
    fn fresh() -> Self {
        Self { seen: None, misses: 0, due: Instant::now(), under_way: false }
    }
}

/// One question to ask, and of which Pod.
struct Errand {
    uid: String,
    name: String,
    namespace: String,
    asks: Asks,
}

enum Asks {
    /// An engine for a token, under these names.
    Token { address: String, served: Vec<String> },
    /// A gateway for what it lacks.
    Ready { address: String },
}

impl Canaries {
    /// What was seen of this Pod.
    pub fn of(&self, pod: &SeenPod) -> Option<Canary> {
        self.lock().get(&identity(pod)).and_then(|record| record.seen.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Believes what a predecessor wrote into the status, until the engines say otherwise: that this process has not asked yet
    /// is no outage. Only a status that speaks of every Ready Pod can be believed; it does not say which ones it means.
    pub fn inherit(&self, deployments: &Store<Guarded>, pods: &Store<SeenPod>) {
        let stays = |pod: &Arc<SeenPod>| is_ready(pod) && pod.metadata.deletion_timestamp.is_none();
        let is_engine = |pod: &Arc<SeenPod>| component(pod) == Some(Component::Engine);
        let ready: Vec<_> = our_pods(pods).into_iter().filter(stays).filter(is_engine).collect();
        for deployment in deployments.state().iter().filter_map(|guarded| guarded.0.as_ref().ok()) {
            let mine: Vec<_> = ready.iter().filter(|pod| belongs(pod, deployment)).collect();
            let answered = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
            if usize::try_from(answered).is_ok_and(|answered| answered == mine.len()) {
                let mut records = self.lock();
                for pod in mine {
                    records.entry(identity(pod)).or_insert_with(Record::fresh).seen.get_or_insert(Canary::Answered);
                }
            }
        }
    }

    /// Pods that are due; forgets those that are gone.
    fn due(&self, pods: &[Arc<SeenPod>]) -> Vec<Errand> {
        let now = Instant::now();
        let ready: HashMap<String, &Arc<SeenPod>> =
            pods.iter().filter(|pod| is_due_at_all(pod)).map(|pod| (identity(pod), pod)).collect();
        let mut records = self.lock();
        records.retain(|uid, record| record.under_way || ready.contains_key(uid));
        let mut errands = Vec::new();
        for (uid, pod) in ready {
            let record = records.entry(uid.clone()).or_insert_with(Record::fresh);
            let due = record.due <= now && !record.under_way;
            if let Some(errand) = due.then(|| errand(uid, pod)).flatten() {
                record.under_way = true;
                errands.push(errand);
            }
        }
        errands
    }

    /// Records an answer; true when what is known of the Pod has changed.
    fn record(&self, uid: &str, answer: Result<(), String>, rhythm: Rhythm) -> bool {
        let mut records = self.lock();
        let Some(record) = records.get_mut(uid) else { return false };
        record.under_way = false;
        let before = record.seen.clone();
        match answer {
            Ok(()) => {
                record.misses = 0;
                record.seen = Some(Canary::Answered);
            }
            Err(message) => {
                record.misses += 1;
                if before != Some(Canary::Answered) || record.misses >= MISSES {
                    record.seen = Some(Canary::Failed(message));
                }
            }
        }
        record.due = Instant::now() + if record.misses == 0 { rhythm.healthy } else { rhythm.failing };
        record.seen != before
    }
}

/// A restarted container is another engine.
fn identity(pod: &SeenPod) -> String {
    let restarts: i32 = pod.status.container_statuses.iter().map(|status| status.restart_count).sum();
    format!("{}/{restarts}", pod.uid().unwrap_or_default())
}

/// An engine is asked once the kubelet calls it ready; a gateway while it runs and is not: then it says why.
fn is_due_at_all(pod: &SeenPod) -> bool {
    match component(pod) {
        Some(Component::Engine) => is_ready(pod),
        Some(Component::Gateway) => !is_ready(pod) && pod.metadata.deletion_timestamp.is_none(),
        None => false,
    }
}

fn errand(uid: String, pod: &SeenPod) -> Option<Errand> {
    let asks = match component(pod)? {
        Component::Engine => Asks::Token {
            address: address(pod, PORT)?,
            served: pod.annotations().get(SERVED_NAMES)?.split(',').map(str::to_owned).collect(),
        },
        Component::Gateway => Asks::Ready { address: address(pod, ADMIN_PORT)? },
    };
    let name = pod.labels().get(DEPLOYMENT_LABEL)?.clone();
    Some(Errand { uid, name, namespace: pod.namespace().unwrap_or_default(), asks })
}

/// Looks for as long as it is not dropped.
pub async fn sentry(
    pods: Store<SeenPod>,
    canaries: Canaries,
    waker: Waker,
    metrics: Arc<Metrics>,
    rhythm: Rhythm,
    prober: Arc<dyn Prober>,
) {
    let (mut waiting, mut under_way) = (VecDeque::new(), FuturesUnordered::new());
    let mut looks = tokio::time::interval(LOOK);
    loop {
        // as soon as there is room, not at the next look: more may be due than are asked at once
        let room = AT_ONCE.saturating_sub(under_way.len()).min(waiting.len());
        under_way.extend(waiting.drain(..room).map(|errand| run(&*prober, errand, rhythm.timeout)));
        tokio::select! {
            _ = looks.tick() => waiting.extend(canaries.due(&our_pods(&pods))),
            Some((errand, answer)) = under_way.next(), if !under_way.is_empty() => {
                metrics.canaries.with_label_values(&[if answer.is_ok() { "answered" } else { "failed" }]).inc();
                if canaries.record(&errand.uid, answer, rhythm) {
                    waker.wake(&errand.name, &errand.namespace);
                }
            }
        }
    }
}

async fn run(prober: &dyn Prober, errand: Errand, limit: Duration) -> (Errand, Result<(), String>) {
    let asked = match &errand.asks {
        Asks::Token { address, served } => prober.ask(address, served),
        Asks::Ready { address } => prober.ask_gateway(address),
    };
    let answer = tokio::time::timeout(limit, asked).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs())));
    (errand, answer)
}
