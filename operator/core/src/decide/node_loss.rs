//! Which nodes are lost, and which Pods there give way to others?
//!
//! ```text
//! silent    every Pod of ours there that has answered before failed its last three probes, a round each 0.7 s
//! suspect   silent, and the kubelet's port is dead, too, or the node's Lease has not moved for L = 12 s
//! lost      suspect for S = 60 s
//!
//! storm     two or more nodes are silent, and they are more than half of those that carry Pods of ours
//! ```
//!
//! A storm is a fault of our own network or of the control plane, not of so many nodes: nothing is touched then. A kubelet renews
//! its Lease every 10 s; 12 s without a move are one renewal missed. That a kubelet is merely cut off or frozen makes no node silent:
//! its Pods still answer.
//!
//! 1. A gateway on a silent node gives way at once, if another one of its deployment answers: clients are led past it. One that was
//!    not ready yet leads nobody astray; it may be the replacement, put there by a scheduler that knows of nothing.
//! 2. What is on a suspect node gives way: a gateway at once, an engine when a place is free for another.
//! 3. What is still there when the node is lost is removed without waiting for its kubelet.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::observed::{Observed, Pod, Watched};

/// Key of the taint that keeps Pods off a node that does not answer.
pub const UNREACHABLE: &str = "deepseek-operator.io/unreachable";
/// A Lease that has not moved for this long (L).
pub const LEASE_UNMOVED: Duration = Duration::from_secs(12);
/// A suspect node is lost after this time (S).
pub const LOST: Duration = Duration::from_secs(60);

/// What is thought of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// Something of ours there answers, or nothing of ours has ever answered there.
    Answers,
    /// Nothing of ours there answers any more.
    Silent,
    /// And neither does its kubelet.
    Suspect,
    /// And that for a minute.
    Lost,
}

/// All nodes that carry Pods of ours, as our own probes see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    nodes: BTreeMap<String, Watched>,
    storm: bool,
}

impl Watch {
    /// Takes together what is known of each node.
    pub fn of(nodes: BTreeMap<String, Watched>) -> Self {
        let silent = nodes.values().filter(|watched| watched.silent_for.is_some()).count();
        Self { storm: silent >= 2 && 2 * silent > nodes.len(), nodes }
    }

    /// Whether so many nodes are silent that the fault is ours.
    pub fn is_storm(&self) -> bool {
        self.storm
    }

    /// What is thought of a node. In a storm nothing is held against any of them.
    pub fn state(&self, node: &str) -> NodeState {
        let watched = self.nodes.get(node).filter(|_| !self.storm).copied().unwrap_or_default();
        match (watched.silent_for, watched.suspect_for) {
            (_, Some(time)) if time >= LOST => NodeState::Lost,
            (_, Some(_)) => NodeState::Suspect,
            (Some(_), None) => NodeState::Silent,
            (None, None) => NodeState::Answers,
        }
    }
}

/// Whether a silent node is suspect.
pub fn is_suspect(kubelet_dead: bool, lease_unmoved_for: Option<Duration>) -> bool {
    kubelet_dead || lease_unmoved_for.is_some_and(|time| time >= LEASE_UNMOVED)
}

/// A Pod that gives way to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub pod: String,
    /// Its UID: no other of the name is meant.
    pub uid: String,
    /// The suspect node, which others should keep off; `None` when it is only silent.
    pub node: Option<String>,
    /// Without waiting for its kubelet, which does not answer.
    pub force: bool,
}

/// Which Pods give way. `spare` counts the places that are free for further engines.
pub fn removals(observed: &Observed, spare: i64) -> Vec<Removal> {
    let at = |pod: &Pod| observed.state_of(pod);
    let stays = |pod: &&Pod| pod.ready && !pod.terminating && at(pod) == NodeState::Answers;
    let another_answers = observed.gateways.iter().any(|pod| stays(&pod));
    let mut spare = spare;
    let mut engine = |pod: &Pod| match at(pod) {
        NodeState::Lost if pod.terminating => Some(true),
        NodeState::Suspect | NodeState::Lost if !pod.terminating && spare > 0 => {
            spare -= 1;
            Some(false)
        }
        _ => None,
    };
    let gateway = |pod: &Pod| match at(pod) {
        NodeState::Lost if pod.terminating => Some(true),
        NodeState::Suspect | NodeState::Lost if !pod.terminating => Some(false),
        NodeState::Silent if pod.ready && !pod.terminating && another_answers => Some(false),
        _ => None,
    };
    let engines = observed.pods.iter().filter_map(|pod| Some(removal(pod, at(pod), engine(pod)?)));
    let gateways = observed.gateways.iter().filter_map(|pod| Some(removal(pod, at(pod), gateway(pod)?)));
    engines.collect::<Vec<_>>().into_iter().chain(gateways).collect()
}

fn removal(pod: &Pod, state: NodeState, force: bool) -> Removal {
    let node = pod.node.clone().filter(|_| state >= NodeState::Suspect);
    Removal { pod: pod.name.clone(), uid: pod.uid.clone(), node, force }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::observed::Settings;

    const SILENT: Watched = Watched { silent_for: Some(Duration::from_secs(3)), suspect_for: None };
    const SUSPECT: Watched =
        Watched { silent_for: Some(Duration::from_secs(3)), suspect_for: Some(Duration::from_secs(1)) };
    const GONE: Watched = Watched { silent_for: Some(Duration::from_secs(70)), suspect_for: Some(LOST) };
    const WELL: Watched = Watched { silent_for: None, suspect_for: None };

    fn pod(name: &str, node: &str) -> Pod {
        Pod { name: name.into(), uid: format!("{name}-uid"), node: Some(node.into()), ready: true, ..Pod::default() }
    }

    /// Nodes a, b, …, each with an engine and a gateway of its name.
    fn world(nodes: &[Watched]) -> Observed {
        let names: Vec<_> = nodes.iter().zip('a'..).map(|(watched, name)| (name.to_string(), *watched)).collect();
        Observed {
            now: Timestamp::UNIX_EPOCH,
            nodes: Arc::new([]),
            watch: Arc::new(Watch::of(names.iter().cloned().collect())),
            claim: None,
            workload: None,
            leads_to: None,
            pods: names.iter().map(|(name, _)| pod(&format!("engine-{name}"), name)).collect(),
            gateways: names.iter().map(|(name, _)| pod(&format!("gateway-{name}"), name)).collect(),
            scaling: None,
            settings: Arc::new(Settings::default()),
        }
    }

    fn gone(observed: &Observed, spare: i64) -> Vec<(String, bool)> {
        removals(observed, spare).into_iter().map(|removal| (removal.pod, removal.force)).collect()
    }

    #[test]
    fn where_all_is_well_everything_stays() {
        assert_eq!(gone(&world(&[WELL, WELL, WELL]), 9), []);
    }

    #[test]
    fn clients_are_led_past_a_silent_node_at_once() {
        assert_eq!(gone(&world(&[SILENT, WELL, WELL]), 9), [("gateway-a".to_owned(), false)]);
        let mut alone = world(&[SILENT, WELL, WELL]);
        alone.gateways.truncate(1);
        assert_eq!(gone(&alone, 9), [], "there is nobody else to lead them to");
        let mut new = world(&[SILENT, WELL, WELL]);
        new.gateways[0].ready = false;
        assert_eq!(gone(&new, 9), [], "nobody is led to one that is not ready");
    }

    #[test]
    fn an_engine_gives_way_when_a_place_is_free() {
        let lost = world(&[SUSPECT, WELL, WELL]);
        assert_eq!(gone(&lost, 0), [("gateway-a".to_owned(), false)]);
        assert_eq!(gone(&lost, 1), [("engine-a".to_owned(), false), ("gateway-a".to_owned(), false)]);
    }

    #[test]
    fn what_is_stuck_for_a_minute_is_forced() {
        let mut lost = world(&[GONE, WELL, WELL]);
        assert!(gone(&lost, 9).iter().all(|(_, force)| !force), "it is asked first");
        lost.pods[0].terminating = true;
        lost.gateways[0].terminating = true;
        assert_eq!(gone(&lost, 0), [("engine-a".to_owned(), true), ("gateway-a".to_owned(), true)]);
        let mut leaving = world(&[SUSPECT, WELL, WELL]);
        leaving.pods[0].terminating = true;
        assert_eq!(gone(&leaving, 9), [("gateway-a".to_owned(), false)], "before that it has time");
    }

    #[test]
    fn more_than_half_silent_at_once_is_our_own_fault() {
        assert!(world(&[SUSPECT, SILENT, WELL]).watch.is_storm());
        assert!(world(&[SUSPECT, SUSPECT]).watch.is_storm());
        assert!(!world(&[SUSPECT, SUSPECT, WELL, WELL]).watch.is_storm());
        assert!(!world(&[SUSPECT]).watch.is_storm(), "of one node alone nobody can tell");
        assert_eq!(gone(&world(&[GONE, GONE, WELL]), 9), []);
    }

    #[test]
    fn a_dead_kubelet_or_a_lease_that_stands_still_makes_suspect() {
        assert!(is_suspect(true, None));
        assert!(is_suspect(false, Some(LEASE_UNMOVED)));
        assert!(!is_suspect(false, Some(Duration::from_millis(11_999))));
        assert!(!is_suspect(false, None));
    }

    fn any_node() -> impl Strategy<Value = Watched> {
        (proptest::option::of(0..120_u64), any::<bool>()).prop_map(|(silent, suspect)| {
            let silent_for = silent.map(Duration::from_secs);
            Watched { silent_for, suspect_for: silent_for.filter(|_| suspect) }
        })
    }

    proptest! {
        #[test]
        fn nothing_that_answers_is_ever_removed(nodes in proptest::collection::vec(any_node(), 0..8), spare in 0..4_i64) {
            let observed = world(&nodes);
            let removed = removals(&observed, spare);
            let everyone = || observed.pods.iter().chain(&observed.gateways);
            for removal in &removed {
                let pod = everyone().find(|pod| pod.name == removal.pod).expect("it is one of ours");
                prop_assert!(observed.state_of(pod) != NodeState::Answers);
                prop_assert_eq!(&pod.uid, &removal.uid);
            }
            let engines = removed.iter().filter(|removal| removal.pod.starts_with("engine") && !removal.force).count();
            prop_assert!(i64::try_from(engines).unwrap() <= spare, "never more than there are places");
        }
    }
}
