//! What must hold after every step.

use deepseek_core::decide::switch::Action;
use deepseek_core::decide::switch::role::{Epoch, Site};
use deepseek_core::decide::switch::vantage::DataPlane;

use crate::tick::Tick;
use crate::world::World;

/// So many ticks after all is well somebody is active: a lease for the first look after a start, one more for a role that nobody claimed or
/// that is gone, and some to write and to hand over.
pub const QUIET: usize = 24;
const TWO_LEASES: usize = 10;

impl Tick<'_> {
    /// S1 and S1w, and, without a witness and with `Hold`, never two active.
    pub fn check(&mut self) {
        let holders = self.world.holders(self.scenario);
        if let [(_, one), (_, other)] = holders[..] {
            self.break_rule("S1w: two sites can prove at the same moment that they hold");
            if one.counter == other.counter {
                self.break_rule("S1: two sites hold at the same epoch");
            }
        }
        let held = deepseek_core::decide::switch::settings::QuorumLoss::Hold == self.scenario.on_quorum_loss;
        if !self.scenario.witness && held && self.world.active(self.scenario).len() > 1 {
            self.break_rule("Hold: two sites are active");
        }
    }

    /// S2: what is stored never falls, and rises when the holder changes or the role is made anew.
    pub fn judge_epoch(&mut self, site: usize, holder: Option<usize>, epoch: Epoch) {
        let rises = epoch > self.world.top;
        if epoch < self.world.top || holder != Some(site) && !rises {
            self.break_rule("S2: an epoch fell, or did not rise with its holder");
        }
    }

    /// S4 and S5, by the facts that the site had when it asked.
    pub fn judge(&mut self, process: usize, site: usize, action: &Action) {
        let settings = self.scenario.settings(site);
        let (now, state) = (self.world.processes[process].now, self.world.processes[process].state.clone());
        let Some(state) = state else { return };
        let record = state.role.sight.record();
        let stood = state.role.has_stood(settings.timing.lease, now);
        let down = state.data_plane(&settings, now) == DataPlane::Down;
        let (proved, gated) = match (action, record) {
            (Action::Acquire { .. }, Some(record)) if record.is_held_by(Site::Us) => (true, false),
            (Action::Acquire { .. }, Some(record)) => match record.released {
                Some(Site::Us) => (true, true),
                Some(_) => (stood, true),
                None => (stood && down, true),
            },
            (Action::Create { .. }, _) => {
                let never = self.world.top == Epoch::NEVER && site == 0;
                (stood || never || state.has_proof(&settings, now), !state.has_proof(&settings, now))
            }
            _ => (true, false),
        };
        if !proved {
            self.break_rule("S4: taken without proof");
        }
        if gated && !state.is_ready(&settings) {
            self.break_rule("S5: taken by a site that is not ready");
        }
    }
}

/// Bounded liveness: from the moment at which all is well again two sites are active for two leases at most (L2), and in the end one is that
/// is ready (L1). Nothing breaks on the way.
pub fn recovers(
    world: &World,
    active: impl Fn(&World) -> Vec<usize>,
    pass: impl Fn(&World) -> (World, Option<String>),
) -> Option<String> {
    let mut world = world.healed();
    for tick in 0..QUIET {
        let (next, broken) = pass(&world);
        if broken.is_some() {
            return broken;
        }
        world = next;
        if tick >= TWO_LEASES && active(&world).len() > 1 {
            return Some("L2: two sites are active long after all is well".to_owned());
        }
    }
    match active(&world)[..] {
        [site] if world.ready[site] => None,
        ref active => Some(format!("L1: {active:?} active long after all is well, ready are {:?}", world.ready)),
    }
}
