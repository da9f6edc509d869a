//! How do replicas of an older revision give way to those of a new one?
//!
//! A new replica starts before an old one goes (`surge`) when accelerators are spare for it. Otherwise the old one goes
//! first: a surge Pod would wait for ever for what the old one holds. Unless the old one holds nothing that the new one could
//! use, such as processors alone or another product: then its end would help nobody, and it serves until the new one does. What a
//! deployment may hold (`spec.autoscaling.accelerators.max`) goes before all of that.

use crate::decide::place::Placement;

/// How a roll-out proceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// One more than wanted may run for a while; none is missing.
    Surge,
    /// One is missing for a while; never more than wanted run.
    InPlace,
}

/// Decides for one revision. A decision stays for the revision, so that nothing is written because a neighbour came or went.
/// `affords`: one more replica is within what the deployment may hold.
pub fn rollout(placement: &Placement, replicas: i32, affords: bool, running: Option<Running>) -> Rollout {
    match running {
        Some(Running { same_revision: true, rollout }) => rollout,
        _ if !affords => Rollout::InPlace,
        _ if !placement.gives_way => Rollout::Surge,
        _ if placement.free > 0 && placement.places > i64::from(replicas) => Rollout::Surge,
        _ => Rollout::InPlace,
    }
}

/// What the stored Deployment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Whether it already is of the revision that is planned.
    pub same_revision: bool,
    /// How it was told to proceed.
    pub rollout: Rollout,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue::Catalogue;

    fn placement(places: i64, free: i64, gives_way: bool) -> Placement {
        Placement {
            accelerator: Catalogue::builtin().accelerator("nvidia-h100"),
            per_replica: 1,
            context_length: 4096,
            sequences: 4,
            host_memory: 0,
            explanation: String::new(),
            places,
            free,
            gives_way,
            nodes: BTreeSet::new(),
        }
    }

    #[test]
    fn two_replicas_surge_or_give_way() {
        // places, of them free, gives way
        let cases = [
            (2, 0, true, Rollout::InPlace, "nothing is spare"),
            (3, 1, true, Rollout::Surge, "one is spare"),
            (4, 0, true, Rollout::InPlace, "there is room, but the old replicas sit in it"),
            (2, 1, true, Rollout::InPlace, "the last of the new ones needs the place of the last old one"),
            (0, 0, false, Rollout::Surge, "what the old ones hold is of no use to the new ones"),
            (1, 1, false, Rollout::Surge, "the same, and one of the new ones may start"),
        ];
        for (places, free, gives_way, expected, why) in cases {
            assert_eq!(rollout(&placement(places, free, gives_way), 2, true, None), expected, "{why}");
        }
        let processors = Placement { accelerator: None, ..placement(2, 2, false) };
        assert_eq!(rollout(&processors, 2, true, None), Rollout::Surge);
    }

    #[test]
    fn a_revision_keeps_its_way() {
        let running = Running { same_revision: true, rollout: Rollout::InPlace };
        assert_eq!(rollout(&placement(9, 7, true), 2, true, Some(running)), Rollout::InPlace);
        let older = Running { same_revision: false, ..running };
        assert_eq!(rollout(&placement(9, 7, true), 2, true, Some(older)), Rollout::Surge);
        assert_eq!(rollout(&placement(9, 7, true), 2, false, Some(older)), Rollout::InPlace, "no more may be held");
    }
}
