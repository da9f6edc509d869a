//! The other fast loop: which nodes with Pods of ours are silent? It only looks; what follows is decided in `core`
//! ([`deepseek_core::decide::node_loss`]), and deployments with Pods on such a node are woken.
//!
//! Each round one Pod of ours on each node is knocked at. If it does not answer, all others there are knocked at in the next round, and
//! the kubelet: a node is silent when none of those answers that have answered before. So the cost grows with the nodes, not with the
//! deployments.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deepseek_core::decide::node_loss::{LOST, Watch, is_suspect};
use deepseek_core::observed::Watched;
use deepseek_core::render::{DEPLOYMENT_LABEL, PORT};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::reflector::Store;
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::canary::Prober;
use crate::knock::{Heard, Round, knock};
use crate::metrics::Metrics;
use crate::ours::{address, our_pods};
use crate::seen::{SeenNode, SeenPod};
use crate::wake::Waker;

/// Between two rounds; with [`ROUNDS`] of them and the time that an answer may take, a dead node is silent after 2.7 s at the latest.
const ROUND: Duration = Duration::from_millis(700);
/// Rounds without an answer that make a node silent.
const ROUNDS: u32 = 3;
/// Rounds without an answer that make a kubelet dead; it is knocked at from the second round of silence on.
const KUBELET_ROUNDS: u32 = 2;
/// A kubelet whose node answers is knocked at in every so many rounds, to know whether it can be reached at all.
const KUBELET_TURN: usize = 10;
/// Between two looks at the Lease of a silent node.
const LEASE_LOOK: Duration = Duration::from_secs(2);
/// Where kubelets renew their Leases.
const LEASES: &str = "kube-node-lease";

/// What is known of each node.
#[derive(Clone, Default)]
pub struct Silences(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    nodes: HashMap<String, Record>,
    watch: Arc<Watch>,
}

/// One node. Times are those of this process alone.
#[derive(Default)]
struct Record {
    /// Pods that have answered before, by UID.
    answered: BTreeSet<String>,
    misses: u32,
    silent_since: Option<Instant>,
    suspect_since: Option<Instant>,
    kubelet: Kubelet,
    lease: Option<Standing>,
    /// Since when this process knows of it.
    known_since: Option<Instant>,
    /// Since when whoever was knocked at has answered.
    well_since: Option<Instant>,
    /// The stage that deployments were last woken for.
    seen: (bool, bool, bool),
    turn: usize,
}

#[derive(Default)]
struct Kubelet {
    answered: bool,
    misses: u32,
}

/// A Lease that has not moved since.
struct Standing {
    version: String,
    since: Instant,
    looked: Instant,
}

impl Silences {
    /// All nodes with Pods of ours, at this moment.
    pub fn watch(&self) -> Arc<Watch> {
        self.lock().watch.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to knock at now; forgets nodes that are no longer of interest.
    fn rounds(&self, pods: &[Arc<SeenPod>], nodes: &[Arc<SeenNode>]) -> Vec<Round> {
        let mut of_node: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for pod in pods {
            if let (Some(node), Some(address)) = (pod.spec.node_name.as_deref(), address(pod, PORT)) {
                of_node.entry(node).or_default().push((pod.uid().unwrap_or_default(), address));
            }
        }
        let mut known = self.lock();
        let mut rounds = Vec::new();
        for node in nodes {
            let name = node.name_any();
            let pods = of_node.remove(name.as_str()).unwrap_or_default();
            if pods.is_empty() && !node.is_kept_off() {
                known.nodes.remove(&name);
                continue;
            }
            let record = known.nodes.entry(name.clone()).or_default();
            record.known_since.get_or_insert_with(Instant::now);
            rounds.push(record.round(name, pods, kubelet_address(node)));
        }
        let names: BTreeSet<_> = nodes.iter().map(|node| node.name_any()).collect();
        known.nodes.retain(|name, _| names.contains(name));
        rounds
    }

    /// Takes note of a round; true when something follows for deployments.
    fn note(&self, heard: Heard) -> bool {
        let mut known = self.lock();
        let Some(record) = known.nodes.get_mut(&heard.node) else { return false };
        let before = record.seen;
        record.note(heard);
        record.seen = record.stage();
        let changed = record.seen != before;
        let now = known.nodes.iter().filter(|(_, record)| !record.answered.is_empty() || record.silent_since.is_some());
        known.watch = Arc::new(Watch::of(now.map(|(name, record)| (name.clone(), record.watched())).collect()));
        changed
    }

    /// Names of silent nodes, with the seconds since.
    pub fn silent(&self) -> BTreeMap<String, u64> {
        let known = self.lock();
        let since = |record: &Record| record.silent_since.map(|since| since.elapsed().as_secs());
        known.nodes.iter().filter_map(|(name, record)| Some((name.clone(), since(record)?))).collect()
    }

    /// What is known of a node that Pods are kept off.
    pub fn judgement(&self, node: &str) -> Judgement {
        let known = self.lock();
        let Some(record) = known.nodes.get(node) else { return Judgement::Unknown };
        if record.answered.is_empty() && !record.kubelet.answered {
            let for_long = record.known_since.is_some_and(|since| since.elapsed() >= LOST);
            return if for_long { Judgement::Unreachable } else { Judgement::Unknown };
        }
        record.well_since.map_or(Judgement::Silent, |since| Judgement::Well(since.elapsed()))
    }
}

/// What is known of a node that Pods are kept off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Whoever was knocked at has answered for this long.
    Well(Duration),
    /// Somebody who has answered before does not.
    Silent,
    /// Nobody has ever answered, in a minute or more: there is nobody to ask.
    Unreachable,
    /// It is too early to say.
    Unknown,
}

impl Record {
    fn round(&mut self, node: String, mut pods: Vec<(String, String)>, kubelet: Option<String>) -> Round {
        self.answered.retain(|uid| pods.iter().any(|(known, _)| known == uid));
        self.turn = self.turn.wrapping_add(1);
        let quiet = self.misses == 0 && self.silent_since.is_none();
        pods.sort();
        if !pods.is_empty() {
            let turn = self.turn % pods.len();
            pods.rotate_left(turn);
        }
        // one that has answered before tells more than one that has not
        pods.sort_by_key(|(uid, _)| !self.answered.contains(uid));
        pods.truncate(if quiet { 1 } else { usize::MAX });
        let is_turn = !self.kubelet.answered || self.turn.is_multiple_of(KUBELET_TURN);
        let kubelet = kubelet.filter(|_| !quiet || is_turn);
        let due = self.lease.as_ref().is_none_or(|lease| lease.looked.elapsed() >= LEASE_LOOK);
        Round { node, pods, kubelet, wants_lease: self.silent_since.is_some() && due }
    }

    fn note(&mut self, heard: Heard) {
        let now = Instant::now();
        if let Some(there) = heard.kubelet {
            self.kubelet.answered |= there;
            self.kubelet.misses = if there { 0 } else { self.kubelet.misses.saturating_add(1) };
        }
        let expected = heard.asked.iter().any(|uid| self.answered.contains(uid));
        let kubelet_alone = self.answered.is_empty() && heard.kubelet == Some(true);
        if !heard.pods.is_empty() || kubelet_alone {
            self.answered.extend(heard.pods);
            self.well_since.get_or_insert(now);
            (self.misses, self.silent_since, self.suspect_since, self.lease) = (0, None, None, None);
            return;
        }
        if expected {
            self.misses = self.misses.saturating_add(1);
        }
        if expected || heard.kubelet == Some(false) {
            self.well_since = None;
        }
        if self.misses >= ROUNDS {
            self.silent_since.get_or_insert(now);
        }
        if let Some(version) = heard.lease {
            self.look_at(version, now);
        }
        let unmoved = self.lease.as_ref().map(|lease| now.duration_since(lease.since));
        let kubelet_dead = self.kubelet.answered && self.kubelet.misses >= KUBELET_ROUNDS;
        if self.silent_since.is_some() && is_suspect(kubelet_dead, unmoved) {
            self.suspect_since.get_or_insert(now);
        }
    }

    fn look_at(&mut self, version: String, now: Instant) {
        match &mut self.lease {
            Some(lease) if lease.version == version => lease.looked = now,
            _ => self.lease = Some(Standing { version, since: now, looked: now }),
        }
    }

    fn watched(&self) -> Watched {
        let time = |since: Option<Instant>| since.map(|since| since.elapsed());
        Watched { silent_for: time(self.silent_since), suspect_for: time(self.suspect_since) }
    }

    /// Deployments are woken when it changes.
    fn stage(&self) -> (bool, bool, bool) {
        let lost = self.suspect_since.is_some_and(|since| since.elapsed() >= LOST);
        (self.silent_since.is_some(), self.suspect_since.is_some(), lost)
    }
}

fn kubelet_address(node: &SeenNode) -> Option<String> {
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    let address = node.status.addresses.iter().find(|address| address.type_ == "InternalIP").filter(|_| port > 0)?;
    let host = &address.address;
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// Knocks for as long as it is not dropped.
pub async fn listen(
    pods: Store<SeenPod>,
    nodes: Store<SeenNode>,
    silences: Silences,
    waker: Waker,
    metrics: Arc<Metrics>,
    client: Client,
    prober: Arc<dyn Prober>,
) {
    let leases = Api::<Lease>::namespaced(client, LEASES);
    let mut due = interval(ROUND);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let ours = our_pods(&pods);
        let rounds = silences.rounds(&ours, &nodes.state());
        let mut under_way: FuturesUnordered<_> =
            rounds.into_iter().map(|round| knock(round, &leases, &*prober)).collect();
        let mut changed = BTreeSet::new();
        let mut storm = silences.watch().is_storm();
        while let Some(heard) = under_way.next().await {
            let node = heard.node.clone();
            if silences.note(heard) {
                changed.insert(node);
            }
        }
        metrics.silent_nodes.set(i64::try_from(silences.silent().len()).unwrap_or(i64::MAX));
        storm ^= silences.watch().is_storm();
        for pod in ours.iter().filter(|pod| storm || pod.spec.node_name.as_ref().is_some_and(|n| changed.contains(n))) {
            let owner = pod.labels().get(DEPLOYMENT_LABEL).map(String::as_str).unwrap_or_default();
            waker.wake(owner, &pod.namespace().unwrap_or_default());
        }
    }
}
