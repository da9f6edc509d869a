//! Which replicas have room: what the accelerators of a deployment are enough for, and what no node takes.
//!
//! ```text
//! budget        spec.autoscaling.accelerators.max, divided by what one replica holds, at least one. A replica on its way out still
//!               holds its own: until it is gone nothing takes its place, and nothing that runs is stopped for it
//! schedulable   a replica has waited for a minute, and no node has room: those that have their place, at least minReplicas, are all
//!               that is ordered. Until more places are free than then, or for 5 min, the next time for 10, at most for an hour
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::observed::{Node, Pod};

/// No node has had room for so long: none will.
const STUCK: Duration = Duration::from_secs(60);
/// From taking back to the next try, the first time.
const FIRST: Duration = Duration::from_secs(300);
/// The same, at most.
const LAST: Duration = Duration::from_secs(3600);

/// What `max` accelerators are enough for, in replicas. `each`: what one holds, 0 for none; while that is not known nothing is added.
pub fn budget(max: i32, each: Option<i32>, current: i32, pods: &[Pod]) -> Option<i32> {
    let Some(each) = each else { return Some(current) };
    let all = max.checked_div(each)?.max(1);
    let leaving = i32::try_from(pods.iter().filter(|pod| pod.terminating).count()).unwrap_or(i32::MAX);
    Some(all.min(all.saturating_sub(leaving).max(current)))
}

/// Remembers who has no place, and since when.
#[derive(Clone, Debug, Default)]
pub struct Room {
    stuck: BTreeMap<String, Duration>,
    cap: Option<Cap>,
    /// How long the last one lasted, and what it was.
    last: Option<(Duration, i32)>,
}

#[derive(Clone, Copy, Debug)]
struct Cap {
    replicas: i32,
    until: Duration,
    /// Places that were free when it began.
    free: i64,
}

impl Room {
    /// How many replicas have a place, where the rest has none.
    pub fn look(&mut self, pods: &[Pod], nodes: &[Arc<Node>], now: Duration) -> Option<i32> {
        let there = pods.iter().filter(|pod| !pod.terminating);
        let (waiting, placed): (Vec<_>, Vec<_>) = there.partition(|pod| pod.unschedulable.is_some());
        let since = |pod: &&Pod| (pod.uid.clone(), self.stuck.get(&pod.uid).copied().unwrap_or(now));
        self.stuck = waiting.iter().map(since).collect();
        let (placed, free) = (i32::try_from(placed.len()).unwrap_or(i32::MAX), places(nodes, pods));
        self.cap = self.cap.filter(|cap| now < cap.until && free <= cap.free);
        match &mut self.cap {
            Some(cap) => cap.replicas = cap.replicas.max(placed),
            None if self.stuck.values().any(|since| now.saturating_sub(*since) >= STUCK) => {
                self.cap = Some(self.begin(placed, free, now));
            }
            None => {}
        }
        self.cap.map(|cap| cap.replicas)
    }

    fn begin(&mut self, replicas: i32, free: i64, now: Duration) -> Cap {
        let wait = match self.last {
            Some((wait, before)) if replicas <= before => wait.saturating_mul(2).min(LAST),
            _ => FIRST,
        };
        self.last = Some((wait, replicas));
        Cap { replicas, until: now.saturating_add(wait), free }
    }
}

/// Replicas like these that could still be put somewhere, as far as countable resources say.
fn places(nodes: &[Arc<Node>], pods: &[Pod]) -> i64 {
    let Some(held) = pods.iter().map(|pod| &pod.held).find(|held| !held.is_empty()) else { return 0 };
    let on = |node: &Node| held.iter().map(|(resource, number)| node.free(resource) / (*number).max(1)).min();
    nodes.iter().filter(|node| node.schedulable).filter_map(|node| on(node)).fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, has_place: bool) -> Pod {
        Pod {
            uid: name.to_owned(),
            held: BTreeMap::from([("nvidia.com/gpu".to_owned(), 4)]),
            unschedulable: (!has_place).then(|| "0/1 nodes are available".to_owned()),
            ..Pod::default()
        }
    }

    fn node(gpus: i64, held: i64) -> Arc<Node> {
        let of = |number| BTreeMap::from([("nvidia.com/gpu".to_owned(), number)]);
        Arc::new(Node { schedulable: true, allocatable: of(gpus), held: of(held), ..Node::default() })
    }

    /// Looks every five seconds; what was said last.
    fn looks(room: &mut Room, pods: &[Pod], nodes: &[Arc<Node>], from: u64, to: u64) -> Option<i32> {
        (from..=to).step_by(5).map(|now| room.look(pods, nodes, Duration::from_secs(now))).last().flatten()
    }

    #[test]
    fn who_has_had_no_place_for_a_minute_is_counted_out() {
        let (mut room, pods, full) = (Room::default(), [pod("a", true), pod("b", false)], [node(7, 4)]);
        assert_eq!(looks(&mut room, &pods, &full, 0, 55), None);
        assert_eq!(looks(&mut room, &pods, &full, 60, 60), Some(1));
        assert_eq!(looks(&mut room, &pods[..1], &full, 65, 355), Some(1), "until it is tried again");
        assert_eq!(looks(&mut room, &pods[..1], &full, 360, 360), None);
        let again = [pod("a", true), pod("c", false)];
        assert_eq!(looks(&mut room, &again, &full, 365, 1020), Some(1), "ten minutes now");
        assert_eq!(looks(&mut room, &pods[..1], &full, 1025, 1025), None);
    }

    #[test]
    fn a_place_that_becomes_free_is_tried_at_once() {
        let (mut room, pods, full) = (Room::default(), [pod("a", true), pod("b", false)], [node(7, 4)]);
        assert_eq!(looks(&mut room, &pods, &full, 0, 60), Some(1));
        assert_eq!(looks(&mut room, &pods[..1], &[node(7, 4), node(3, 0)], 65, 70), Some(1), "it is no place for four");
        assert_eq!(looks(&mut room, &pods[..1], &[node(7, 4), node(4, 0)], 75, 75), None);
        let more = [pod("a", true), pod("b", true), pod("c", false)];
        assert_eq!(looks(&mut room, &more, &full, 80, 140), Some(2));
        assert_eq!(looks(&mut room, &more[..2], &full, 145, 440), None, "it begins with five minutes again");
    }

    #[test]
    fn who_gets_a_place_in_time_is_never_counted_out() {
        let mut room = Room::default();
        for begin in (0..600).step_by(60) {
            let late = pod(&format!("late-{begin}"), false);
            assert_eq!(looks(&mut room, &[pod("a", true), late], &[], begin, begin + 55), None);
        }
    }

    #[test]
    fn who_leaves_still_holds_what_it_holds() {
        let leaving = Pod { terminating: true, ..pod("b", true) };
        assert_eq!(budget(9, Some(4), 1, &[pod("a", true)]), Some(2));
        assert_eq!(budget(9, Some(4), 1, &[pod("a", true), leaving.clone()]), Some(1));
        assert_eq!(
            budget(9, Some(4), 2, &[pod("a", true), leaving]),
            Some(2),
            "nobody is stopped because somebody else leaves"
        );
        assert_eq!(budget(3, Some(4), 1, &[]), Some(1), "without any nothing would serve");
        assert_eq!(budget(9, Some(0), 1, &[]), None, "processors are not counted");
        assert_eq!(budget(9, None, 1, &[]), Some(1));
    }
}
