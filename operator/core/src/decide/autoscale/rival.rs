//! Does somebody else write `spec.replicas`, too?
//!
//! ```text
//! another number than ours, once          an edit by hand: it counts as the current number, and the next pass goes on from there
//! zero, and back from it                  a pause by hand
//! twice within 5 min of a write of ours   a rival: nothing is written any more
//! no other number for 10 min              it has gone
//! ```
//!
//! Two autoscalers that undo each other's work restart models that take minutes to load; one of them has to stop, and it is known
//! only of one that it can.

use std::time::Duration;

/// Two changes within this time, each as soon after a write of ours, are a fight.
const FIGHT: Duration = Duration::from_secs(300);
/// A rival that has not written for so long has gone.
const GONE: Duration = Duration::from_secs(600);

/// Somebody else who writes the number.
#[derive(Clone, Debug, Default)]
pub struct Rival {
    /// The number as it should be, as far as we know.
    expected: Option<i32>,
    /// What we tried to write, and do not know whether it was taken.
    tried: Option<i32>,
    written: Option<Duration>,
    /// When ours was overruled.
    overruled: Vec<Duration>,
    /// When the rival was seen last.
    seen: Option<Duration>,
    name: Option<String>,
}

impl Rival {
    /// Looks at the number that there is; true when a rival was just found.
    pub fn look(&mut self, replicas: i32, now: Duration) -> bool {
        let (expected, tried) = (self.expected.replace(replicas), self.tried.take());
        // zero by hand pauses, and its end is no contradiction either
        let paused = replicas == 0 || expected == Some(0);
        let changed = expected.is_some_and(|expected| expected != replicas) && tried != Some(replicas) && !paused;
        let there = self.is_there(now);
        if !there {
            (self.seen, self.name) = (None, None);
        }
        if !changed {
            return false;
        }
        if there {
            self.seen = Some(now);
            return false;
        }
        let recent = |at: &Duration| now.saturating_sub(*at) <= FIGHT;
        self.overruled.retain(recent);
        if self.written.as_ref().is_some_and(recent) {
            self.overruled.push(now);
        }
        let found = self.overruled.len() >= 2;
        if found {
            self.overruled.clear();
            self.seen = Some(now);
        }
        found
    }

    /// We have written this number.
    pub fn wrote(&mut self, replicas: i32, now: Duration) {
        (self.expected, self.written) = (Some(replicas), Some(now));
    }

    /// We have tried to write this number, and something went wrong on the way.
    pub fn tried(&mut self, replicas: i32) {
        self.tried = Some(replicas);
    }

    /// When we wrote last.
    pub fn written(&self) -> Option<Duration> {
        self.written
    }

    /// Whether there is one.
    pub fn is_there(&self, now: Duration) -> bool {
        self.seen.is_some_and(|seen| now.saturating_sub(seen) < GONE)
    }

    /// Who it is, if that is known.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// It has a name.
    pub fn set_name(&mut self, name: String) {
        self.name = Some(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn an_edit_by_hand_is_no_rival_and_a_fight_is_one() {
        let mut rival = Rival::default();
        assert!(!rival.look(3, at(0)), "the number at the start is nobody's");
        rival.wrote(5, at(5));
        assert!(!rival.look(5, at(10)) && !rival.look(2, at(15)) && !rival.is_there(at(15)));
        rival.wrote(5, at(20));
        assert!(rival.look(2, at(25)) && rival.is_there(at(25)));
        rival.set_name("kube-controller-manager".into());
        assert!(!rival.look(2, at(600)) && rival.name().is_some());
        assert!(!rival.look(4, at(610)) && rival.is_there(at(1200)), "it goes on");
        assert!(!rival.look(4, at(1210)) && !rival.is_there(at(1210)) && rival.name().is_none());
    }

    #[test]
    fn a_pause_is_no_fight() {
        let mut rival = Rival::default();
        rival.look(3, at(0));
        rival.wrote(5, at(5));
        for (replicas, seconds) in [(0, 10), (1, 15), (0, 20), (1, 25)] {
            assert!(!rival.look(replicas, at(seconds)) && !rival.is_there(at(seconds)));
        }
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_ours_all_the_same() {
        let mut rival = Rival::default();
        rival.look(1, at(0));
        for (number, seconds) in [(2, 5), (3, 10), (4, 15)] {
            rival.wrote(number - 1, at(seconds));
            rival.tried(number);
            assert!(!rival.look(number, at(seconds + 1)) && !rival.is_there(at(seconds + 1)));
        }
    }

    #[test]
    fn who_changes_what_we_did_not_touch_is_no_rival() {
        let mut rival = Rival::default();
        for (replicas, seconds) in [(1, 0), (2, 5), (3, 10), (1, 15)] {
            assert!(!rival.look(replicas, at(seconds)));
        }
        rival.wrote(5, at(20));
        assert!(!rival.look(1, at(30)) && !rival.look(1, at(330)) && !rival.look(2, at(340)), "five minutes are over");
    }
}
