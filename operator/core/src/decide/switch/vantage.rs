//! Is a data plane down, and is it me?
//!
//! ```text
//! down    three probes in a row failed; up again when it has answered for 10 s
//! Down    down for us, and the observer, if there is one, says so, too
//! lost    our own gateway by its public address, the reference targets and the witness: none of them answers
//! ```
//!
//! An observer that says nothing does not say "down": a site that is cut off together with the observer must not take over.

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::state::State;
use super::time::{Moment, Timing};

/// What one vantage point thinks of a data plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Not probed yet.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// Probes of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// Failed in a row.
    pub failures: u8,
    /// What we make of it.
    pub verdict: Verdict,
    /// Since when it has been answering again.
    pub good: Option<Moment>,
}

impl Probes {
    /// Takes in one probe.
    pub fn take(&mut self, answered: bool, timing: &Timing, now: Moment) {
        if !answered {
            self.good = None;
            self.failures = self.failures.saturating_add(1).min(timing.failures);
            if self.failures == timing.failures {
                self.verdict = Verdict::Down;
            }
            return;
        }
        self.failures = 0;
        let good = *self.good.get_or_insert(now);
        if self.verdict == Verdict::Unknown || now.since(good) >= timing.clear {
            self.verdict = Verdict::Up;
        }
    }
}

/// What the observer said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Observer {
    /// Of our gateway.
    pub us: Verdict,
    /// Of the peer's.
    pub peer: Verdict,
    /// When.
    pub heard: Option<Moment>,
}

/// Whether anything of the world can be reached from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Paths {
    /// Our own gateway by its public address.
    pub hairpin: bool,
    /// Any of the reference targets.
    pub references: bool,
}

impl Default for Paths {
    fn default() -> Self {
        Self { hairpin: true, references: true }
    }
}

/// The peer's data plane, all vantage points taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlane {
    /// It answers us, or we have not asked often enough.
    Up,
    /// It does not answer us; the observer has not said so.
    DownForUs,
    /// It answers nobody.
    Down,
}

impl State {
    /// The peer's data plane.
    pub fn data_plane(&self, settings: &Settings, now: Moment) -> DataPlane {
        let observer_agrees =
            !settings.observer || self.observer_says(self.observer.peer, settings, now) == Verdict::Down;
        match self.probes.verdict {
            Verdict::Down if observer_agrees => DataPlane::Down,
            Verdict::Down => DataPlane::DownForUs,
            Verdict::Unknown | Verdict::Up => DataPlane::Up,
        }
    }

    /// Two of the three that can tell — ourselves by the public address, the peer, the observer — cannot reach our gateway.
    pub fn is_unreachable(&self, settings: &Settings, now: Moment) -> bool {
        let peer = self.peer.beacon(settings, now).map_or(Verdict::Unknown, |beacon| beacon.sees_you);
        let observer = self.observer_says(self.observer.us, settings, now);
        let down = [!self.paths.hairpin, peer == Verdict::Down, observer == Verdict::Down];
        down.into_iter().filter(|down| *down).count() >= 2
    }

    /// Whether anything answers us.
    pub fn is_connected(&self, settings: &Settings, now: Moment) -> bool {
        let witness = settings.witness && self.role.is_reachable(settings.timing.silence(), now);
        self.paths.hairpin || self.paths.references || witness
    }

    fn observer_says(&self, verdict: Verdict, settings: &Settings, now: Moment) -> Verdict {
        let fresh = self.observer.heard.is_some_and(|heard| now.since(heard) < settings.timing.fresh);
        if settings.observer && fresh { verdict } else { Verdict::Unknown }
    }
}
