//! Who may write: a Lease of our own, with resourceVersion checks and locally observed, monotonic time only.
//!
//! ```text
//! period         1 s   a holder renews, others look
//! renew deadline 4 s   after its last success a holder stops writing
//! lease          6 s   unchanged for so long *as we saw it*, somebody else's lease may be taken
//! ```
//!
//! *Guarantees*: at most one replica holds a [`Leading`] as long as clocks run at nearly the same rate (the 2 s between deadline
//! and lease pay for the difference); clocks need not agree on the time of day. Losing the lease takes the token away, and
//! nothing else: the process, its caches and the sentry live on.
//! *Caveat*: a request that was sent while leading may still arrive later; it carries a field manager and deterministic names,
//! so that it does what the successor would do.
//! On a clean exit the lease is given back, so that the successor starts within a second.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;

const PERIOD: Duration = Duration::from_secs(1);
const RENEW_DEADLINE: Duration = Duration::from_secs(4);
const LEASE: Duration = Duration::from_secs(6);
const ANSWER: Duration = Duration::from_millis(1500);
const LEASE_SECONDS: i32 = 6;

/// The right to write. Only the lease hands it out, and every write asks for it.
#[derive(Debug)]
pub struct Leading {
    _by_lease: (),
}

/// Which lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// Name of the Lease.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Who we are: unique for each process, so that a restarted one does not take itself for its predecessor.
    pub identity: String,
}

/// The lease as this process sees it.
pub struct Elector {
    api: Api<Lease>,
    claimant: Claimant,
    held: Option<Held>,
    seen: Option<Seen>,
}

struct Held {
    lease: Lease,
    renewed: Instant,
}

struct Seen {
    version: String,
    since: Instant,
}

impl Elector {
    /// Nothing is held yet.
    pub fn new(client: Client, claimant: Claimant) -> Self {
        let api = Api::namespaced(client, &claimant.namespace);
        Self { api, claimant, held: None, seen: None }
    }

    /// Runs until it is dropped; hands out the token on the channel, and takes it away.
    pub async fn run(&mut self, leads: &watch::Sender<Option<Arc<Leading>>>) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match tokio::time::timeout(self.patience(), self.attempt()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, leading = self.held.is_some(), "lease not reached"),
                Err(_) => tracing::warn!(leading = self.held.is_some(), "no answer about the lease"),
            }
            self.give_up_when_late();
            self.tell(leads);
        }
    }

    async fn attempt(&mut self) -> Result<(), kube::Error> {
        if self.held.is_some() { self.renew().await } else { self.acquire().await }
    }

    /// How long one attempt may take: never beyond the moment at which writing must end.
    fn patience(&self) -> Duration {
        let left = self.held.as_ref().map(|held| RENEW_DEADLINE.saturating_sub(held.renewed.elapsed()));
        left.map_or(ANSWER, |left| left.min(ANSWER))
    }

    fn tell(&self, leads: &watch::Sender<Option<Arc<Leading>>>) {
        leads.send_if_modified(|told| {
            let changed = told.is_some() != self.held.is_some();
            if changed {
                *told = self.held.is_some().then(|| Arc::new(Leading { _by_lease: () }));
            }
            changed
        });
    }

    /// Gives the lease back, so that nobody has to wait for its end. It is read again first: an answer to our last renewal may
    /// have been dropped with the loop.
    pub async fn release(&mut self) {
        if self.held.take().is_none() {
            return;
        }
        match tokio::time::timeout(ANSWER, self.give_back()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "lease not released; the successor waits for its end"),
            Err(_) => tracing::warn!("no answer about the lease; the successor waits for its end"),
        }
    }

    async fn give_back(&self) -> Result<(), kube::Error> {
        let mut lease = self.api.get(&self.claimant.name).await?;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() == Some(&self.claimant.identity) {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            self.replace(&lease).await?;
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), kube::Error> {
        let Some(held) = &self.held else { return Ok(()) };
        let mut lease = held.lease.clone();
        lease.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
        let asked = Instant::now();
        match self.replace(&lease).await {
            Ok(lease) => self.held = Some(Held { lease, renewed: asked }),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                return self.look_again().await;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The lease is not as we left it. A note by somebody, or a renewal of ours whose answer was lost, leaves it ours, until the
    /// deadline that ran anyway.
    async fn look_again(&mut self) -> Result<(), kube::Error> {
        let stored =
            self.api.get_opt(&self.claimant.name).await?.filter(|lease| holder(lease) == self.claimant.identity);
        self.held = self.held.take().zip(stored).map(|(held, lease)| Held { lease, ..held });
        if self.held.is_none() {
            tracing::warn!("the lease was taken or deleted");
        }
        Ok(())
    }

    async fn acquire(&mut self) -> Result<(), kube::Error> {
        let Some(lease) = self.api.get_opt(&self.claimant.name).await? else {
            if self.seen.as_ref().is_some_and(|seen| seen.since.elapsed() < LEASE) {
                // deleted: its holder may not know it yet
                return Ok(());
            }
            let asked = Instant::now();
            let lease = self.api.create(&PostParams::default(), &self.fresh()).await?;
            self.held = Some(Held { lease, renewed: asked });
            return Ok(());
        };
        if !self.may_take(&lease) {
            return Ok(());
        }
        let asked = Instant::now();
        let lease = self.replace(&self.taken_over(lease)).await?;
        self.held = Some(Held { lease, renewed: asked });
        Ok(())
    }

    /// Free at once when it was given back; else after we ourselves have seen it unchanged for the length of a lease.
    fn may_take(&mut self, lease: &Lease) -> bool {
        if holder(lease).is_empty() {
            return true;
        }
        let version = lease.resource_version().unwrap_or_default();
        match &self.seen {
            Some(seen) if seen.version == version => seen.since.elapsed() >= LEASE,
            _ => {
                self.seen = Some(Seen { version, since: Instant::now() });
                false
            }
        }
    }

    fn give_up_when_late(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.renewed.elapsed() >= RENEW_DEADLINE) {
            tracing::warn!("the lease could not be renewed in time; nothing is written until it is held again");
            self.held = None;
        }
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        self.api.replace(&self.claimant.name, &PostParams::default(), lease).await
    }

    fn fresh(&self) -> Lease {
        Lease {
            metadata: ObjectMeta { name: Some(self.claimant.name.clone()), ..ObjectMeta::default() },
            spec: Some(self.spec(0)),
        }
    }

    fn taken_over(&self, mut lease: Lease) -> Lease {
        let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
        lease.spec = Some(self.spec(transitions.saturating_add(1)));
        lease
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.claimant.identity.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}
