//! How do replicas of an older revision give way to those of a new one?
//!
//! A new replica starts before an old one goes (`surge`) when accelerators are spare for it. Otherwise the old one goes
//! first: a surge Pod would wait for ever for what the old one holds.

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
pub fn rollout(placement: &Placement, replicas: i32, running: Option<Running>) -> Rollout {
    match running {
        Some(Running { same_revision: true, rollout }) => rollout,
        _ if placement.accelerator.is_none() || placement.places > i64::from(replicas) => Rollout::Surge,
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

    fn placement(places: i64, product: Option<&str>) -> Placement {
        Placement {
            accelerator: product.and_then(|p| Catalogue::builtin().accelerator(p)),
            per_replica: 1,
            context_length: 4096,
            sequences: 4,
            host_memory: 0,
            explanation: String::new(),
            places,
            nodes: BTreeSet::new(),
        }
    }

    #[test]
    fn no_surge_without_a_spare_accelerator() {
        assert_eq!(rollout(&placement(2, Some("nvidia-h100")), 2, None), Rollout::InPlace);
        assert_eq!(rollout(&placement(3, Some("nvidia-h100")), 2, None), Rollout::Surge);
        assert_eq!(rollout(&placement(2, None), 2, None), Rollout::Surge);
    }

    #[test]
    fn a_revision_keeps_its_way() {
        let running = Running { same_revision: true, rollout: Rollout::InPlace };
        assert_eq!(rollout(&placement(9, Some("nvidia-h100")), 2, Some(running)), Rollout::InPlace);
        let older = Running { same_revision: false, ..running };
        assert_eq!(rollout(&placement(9, Some("nvidia-h100")), 2, Some(older)), Rollout::Surge);
    }
}
