//! What may happen in one exploration.

use std::time::Duration;

use deepseek_core::decide::switch::settings::{Capacity, Failback, Mode, QuorumLoss, Rules, Settings};
use deepseek_core::decide::switch::time::Timing;

/// A way from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Link {
    /// Site A to the witness, both ways.
    WitnessA = 1,
    /// Site B to the witness.
    WitnessB = 2,
    /// The operators' link between the sites.
    Peers = 4,
    /// B's probes of A's gateway.
    ProbeA = 8,
    /// A's probes of B's gateway.
    ProbeB = 16,
    /// The observer's probes of A's gateway.
    ObserveA = 32,
    /// The observer's probes of B's gateway.
    ObserveB = 64,
}

/// What the world may do to the two sites.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a thing of its own that may happen")]
pub struct Scenario {
    /// For reports.
    pub name: &'static str,
    /// The site of each process.
    pub processes: &'static [usize],
    /// Milliseconds by which each site's clock moves in a tick.
    pub rates: [u64; 2],
    /// What may be cut, one at a time, in any combination.
    pub links: &'static [Link],
    /// Whether all links of A may go at once, and come back one by one.
    pub cut_off: bool,
    /// Whether a whole site may die.
    pub site_loss: bool,
    /// Whether operators may crash and start again.
    pub crashes: bool,
    /// Whether the Lease may be deleted.
    pub deletion: bool,
    /// Whether replicas may stop being ready.
    pub gates: bool,
    /// Whether a person may ask for a switchover.
    pub orders: bool,
    /// How many of these.
    pub faults: u8,
    /// How many requests or answers may be lost or late.
    pub losses: u8,
    /// Whether reads may be, too.
    pub reads: bool,
    /// Whether B may come before A in a tick.
    pub either_first: bool,
    /// Worlds with more switches are not followed.
    pub epochs: u64,
    /// Whether there is an observer.
    pub observer: bool,
    /// Whether there is a witness.
    pub witness: bool,
    /// What to do without.
    pub on_quorum_loss: QuorumLoss,
    /// Whether the witness compares versions.
    pub compares: bool,
    /// Whether anything is kept over a restart.
    pub keeps: bool,
    /// Whether replicas of a site tell each other what they are about to do for it.
    pub siblings: bool,
    /// Only this invariant is looked at; all when it is empty.
    pub only: &'static str,
    /// Rules of the core that hold.
    pub rules: Rules,
}

impl Scenario {
    /// Nothing happens.
    pub fn quiet(name: &'static str) -> Self {
        Self {
            name,
            processes: &[0, 1],
            rates: [1000, 1000],
            links: &[],
            cut_off: false,
            site_loss: false,
            crashes: false,
            deletion: false,
            gates: false,
            orders: false,
            faults: 0,
            losses: 0,
            reads: false,
            either_first: false,
            epochs: 4,
            observer: true,
            witness: true,
            on_quorum_loss: QuorumLoss::Hold,
            compares: true,
            keeps: true,
            siblings: true,
            only: "",
            rules: Rules::default(),
        }
    }

    /// What a site of this scenario goes by. Times are a few ticks of a second each.
    pub fn settings(&self, site: usize) -> Settings {
        let seconds = Duration::from_secs;
        Settings {
            primary: site == 0,
            mode: Mode::Automatic,
            witness: self.witness,
            observer: self.observer,
            on_quorum_loss: self.on_quorum_loss,
            min_active: Capacity(200),
            failback: Failback { mode: Mode::Manual, stable_for: seconds(5), hold_off: Duration::ZERO },
            paused: false,
            timing: Timing {
                lease: seconds(5),
                renew: seconds(1),
                deadline: seconds(3),
                request: seconds(1),
                poll: seconds(1),
                failures: 1,
                clear: seconds(1),
                fresh: seconds(3),
                lonely: seconds(6),
                gate: seconds(2),
                share: seconds(1),
                handover: seconds(4),
                drain: seconds(1),
            },
            rules: self.rules,
        }
    }
}
