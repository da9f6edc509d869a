//! Which replicas there are: what Kubernetes says, tempered by what the gateway sees.
//!
//! A Pod that Kubernetes no longer lists has gone. But when it lists nobody at all, it is more often the list that is wrong than that every
//! engine has gone at once: who still answers its probes then stays until it does not.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::health::Health;
use crate::kept::Kept;
use crate::ready::{Need, Readiness};
use crate::scene::{Found, Shared};

/// How often those who stay against the list are looked at.
const SETTLE: Duration = Duration::from_millis(200);

/// The set of replicas, and where it is kept.
pub struct Roster {
    shared: Arc<Shared>,
    ready: Arc<Readiness>,
    kept: Option<Kept>,
    told: RefCell<Option<Vec<Found>>>,
}

impl Roster {
    /// Fills this scene.
    pub fn new(shared: Arc<Shared>, ready: Arc<Readiness>, kept: Option<Kept>) -> Self {
        Self { shared, ready, kept, told: RefCell::default() }
    }

    /// Takes the set that was kept. It was well then, and gets traffic until it fails.
    pub fn recall(&self) {
        if let Some(found) = self.kept.as_ref().and_then(Kept::replicas) {
            tracing::info!(replicas = found.len(), "replicas as they were kept");
            self.shared.replace(&found, Health::trusted());
            self.ready.has(Need::Replicas);
        }
    }

    /// Takes what Kubernetes lists.
    pub fn told(&self, found: Vec<Found>) {
        *self.told.borrow_mut() = Some(found);
        self.settle();
        self.ready.has(Need::Replicas);
    }

    /// Lets go, in time, of those who stayed against the list; never returns.
    pub async fn attend(&self) {
        loop {
            sleep(SETTLE).await;
            self.settle();
        }
    }

    fn settle(&self) {
        let told = self.told.borrow();
        let Some(told) = told.as_ref() else { return };
        let now = self.now();
        let lasting = lasting(told, &now);
        if lasting.iter().eq(now.iter().map(|(found, _)| found)) {
            return;
        }
        tracing::info!(listed = told.len(), replicas = lasting.len(), "replicas changed");
        self.shared.replace(&lasting, Health::new());
        if let Some(kept) = &self.kept {
            kept.keep_replicas(&lasting);
        }
    }

    /// Each replica, and whether it gets traffic.
    fn now(&self) -> Vec<(Found, bool)> {
        self.shared.scene().replicas.iter().map(|replica| (replica.found(), replica.is_up())).collect()
    }
}

/// Who is a replica, of those that are listed and those that are known.
fn lasting(told: &[Found], now: &[(Found, bool)]) -> Vec<Found> {
    if told.is_empty() {
        now.iter().filter(|(_, up)| *up).map(|(found, _)| found.clone()).collect()
    } else {
        told.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use deepseek_core::gateway::GatewayConfig;

    use super::*;
    use crate::health::Signal;
    use crate::keys::Keys;
    use crate::metrics::Metrics;

    fn found(name: &str, leaving: bool) -> Found {
        Found { name: name.into(), address: "10.0.0.1:8000".parse().unwrap(), leaving }
    }

    fn roster(kept: Option<Kept>) -> Roster {
        let shared = Shared::new(GatewayConfig::nothing(), Keys::default(), Metrics::new().unwrap());
        Roster::new(shared, Arc::new(Readiness::lacking([Need::Replicas])), kept)
    }

    fn names(roster: &Roster) -> Vec<String> {
        roster.shared.scene().replicas.iter().map(|replica| replica.name.clone()).collect()
    }

    fn bring_up(roster: &Roster) {
        for replica in roster.shared.scene().replicas.iter() {
            replica.note(Signal::Probed);
            replica.note(Signal::Sang);
        }
    }

    #[test]
    fn who_is_no_longer_listed_has_gone() {
        let roster = roster(None);
        roster.told(vec![found("a", false), found("b", false)]);
        bring_up(&roster);
        roster.told(vec![found("b", false), found("c", false)]);
        assert_eq!(names(&roster), ["b", "c"]);
        assert!(roster.shared.scene().replicas[0].is_up(), "who stays keeps its health");
        assert_eq!(roster.ready.why_not(), None);
    }

    #[test]
    fn when_all_are_gone_at_once_probes_decide() {
        let roster = roster(None);
        roster.told(vec![found("a", false), found("b", false), found("leaving", true), found("new", false)]);
        bring_up(&roster);
        roster.shared.scene().replicas[3].note(Signal::Hard);
        roster.shared.scene().replicas[3].note(Signal::Hard);
        roster.told(vec![]);
        assert_eq!(names(&roster), ["a", "b"]);
        let gone = roster.shared.scene().replicas[0].clone();
        gone.note(Signal::Hard);
        roster.settle();
        assert_eq!(names(&roster), ["a", "b"]);
        gone.note(Signal::Hard);
        roster.settle();
        assert_eq!(names(&roster), ["b"]);
        roster.told(vec![found("d", false)]);
        assert_eq!(names(&roster), ["d"]);
    }

    #[test]
    fn a_leaving_pod_gets_nothing_new() {
        let roster = roster(None);
        roster.told(vec![found("a", false)]);
        bring_up(&roster);
        roster.told(vec![found("a", true)]);
        assert!(!roster.shared.scene().replicas[0].is_up());
    }

    #[test]
    fn after_a_restart_the_kept_set_serves_until_it_is_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let kept = || Some(Kept::within(folder.path()));
        roster(kept()).told(vec![found("a", false), found("b", true)]);
        let again = roster(kept());
        again.recall();
        assert_eq!(again.ready.why_not(), None);
        assert_eq!(names(&again), ["a", "b"]);
        let up: Vec<_> = again.shared.scene().replicas.iter().map(|replica| replica.is_up()).collect();
        assert_eq!(up, [true, false]);
        again.told(vec![found("c", false)]);
        assert_eq!(kept().unwrap().replicas(), Some(vec![found("c", false)]));
    }
}
