//! One site, and around it what a row of a table says: a witness that answers or not, a peer that renews or not, probes, an observer.

mod faults;
mod planned;
mod properties;
mod table;
mod words;

use std::time::Duration;

use super::action::{Action, Write};
use super::event::{Event, Outcome};
use super::reason::{Notice, Reason};
use super::role::{Epoch, Record, Site, Version};
use super::settings::{Capacity, Failback, Mode, QuorumLoss, Rules, Settings};
use super::state::{Beacon, Kept, Own, Phase, State};
use super::step;
use super::time::{Moment, Timing};
use super::vantage::{Paths, Verdict};

const READY: Own = Own { capacity: Capacity(1000), demand: Capacity(500), hot: true, canary: true };
const EMPTY: Own = Own { capacity: Capacity::NONE, demand: Capacity(500), hot: false, canary: false };

fn settings() -> Settings {
    let failback =
        Failback { mode: Mode::Manual, stable_for: Duration::from_secs(600), hold_off: Duration::from_secs(600) };
    Settings {
        primary: false,
        mode: Mode::Automatic,
        witness: true,
        observer: true,
        on_quorum_loss: QuorumLoss::Promote,
        min_active: Capacity(200),
        failback,
        paused: false,
        timing: Timing::FAST,
        rules: Rules::default(),
    }
}

fn epoch(counter: u64) -> Epoch {
    Epoch { counter, rank: 0 }
}

fn record(holder: Site, counter: u64) -> Record {
    Record { holder, epoch: epoch(counter), released: None, version: Version(String::new()) }
}

/// A peer that is well and holds nothing.
fn beacon() -> Beacon {
    Beacon {
        holds: None,
        highest: epoch(1),
        ready: true,
        capacity: Capacity(1000),
        canaries: 20,
        sees_you: Verdict::Up,
        same_spec: true,
        offers: None,
        witness: true,
    }
}

/// What is true around the site.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
struct Around {
    witness: bool,
    role: Option<Record>,
    peer_renews: bool,
    probe: bool,
    observer: Option<(Verdict, Verdict)>,
    beacon: Option<Beacon>,
    acknowledges: bool,
    asks: bool,
    leads: bool,
    paths: Paths,
    own: Own,
}

impl Around {
    /// The peer holds, and all is well.
    fn standby() -> Self {
        Self {
            witness: true,
            role: Some(record(Site::Peer, 1)),
            peer_renews: true,
            probe: true,
            observer: Some((Verdict::Up, Verdict::Up)),
            beacon: Some(Beacon { holds: Some(epoch(1)), ..beacon() }),
            acknowledges: false,
            asks: false,
            leads: true,
            paths: Paths::default(),
            own: READY,
        }
    }

    /// We hold, and all is well.
    fn holder() -> Self {
        Self { role: Some(record(Site::Us, 1)), peer_renews: false, beacon: Some(beacon()), ..Self::standby() }
    }
}

/// One site and its surroundings.
struct Scene {
    settings: Settings,
    state: State,
    now: Moment,
    around: Around,
    version: u64,
    done: Vec<(u64, Action)>,
}

impl Scene {
    fn new(settings: &Settings, kept: Kept, around: Around) -> Self {
        let now = Moment::START;
        Self { settings: *settings, state: State::restarted(kept, now), now, around, version: 0, done: Vec::new() }
    }

    /// A standby that has watched long enough.
    fn standby(settings: &Settings) -> Self {
        let kept = Kept { highest: epoch(1), ..Kept::default() };
        let mut scene = Self::new(settings, kept, Around::standby());
        scene.pass(20);
        assert_eq!(scene.state.phase, Phase::Standby);
        scene.done.clear();
        scene
    }

    /// A holder that has held for a while.
    fn holder(settings: &Settings) -> Self {
        let kept = Kept { highest: epoch(1), held: Some(epoch(1)), dns: Some(epoch(1)), ..Kept::default() };
        let mut scene = Self::new(settings, kept, Around::holder());
        scene.pass(20);
        assert_eq!(scene.state.phase, Phase::Active);
        scene.done.clear();
        scene
    }

    /// So many seconds.
    fn pass(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            let Around { probe, observer, beacon, asks, leads, paths, own, .. } = self.around.clone();
            self.give(&Event::Leads { leads });
            self.give(&Event::OwnState(own));
            self.give(&Event::Connectivity(paths));
            self.give(&Event::Probed { answered: probe });
            if let Some((us, peer)) = observer {
                self.give(&Event::Observed { us, peer });
            }
            if let Some(beacon) = beacon {
                self.give(&Event::PeerHeard { asked: self.now, direct: true, beacon });
            }
            if asks {
                self.give(&Event::AcknowledgementAsked { epoch: epoch(1) });
            }
            if self.around.peer_renews && self.second().is_multiple_of(2) {
                self.version += 1;
            }
            self.give(&Event::Tick);
        }
        self
    }

    fn second(&self) -> u64 {
        self.now.since(Moment::START).as_secs()
    }

    fn give(&mut self, event: &Event) {
        let (state, actions) = step(&self.settings, self.state.clone(), event, self.now);
        self.state = state;
        for action in actions {
            self.done.push((self.second(), action.clone()));
            self.answer(action);
        }
    }

    fn answer(&mut self, action: Action) {
        let asked = self.now;
        let (expected, epoch, released) = match action {
            Action::ReadRole if self.around.witness => {
                let role = self.stored();
                return self.give(&Event::RoleRead { asked, role });
            }
            Action::ReadRole => return self.give(&Event::ReadFailed),
            Action::AskAcknowledgement { epoch } if self.around.acknowledges => {
                return self.give(&Event::Acknowledged { asked, epoch });
            }
            Action::WriteDns { epoch } if self.around.witness => {
                return self.give(&Event::DnsWritten { epoch, done: true });
            }
            Action::Renew { expected, epoch } | Action::Acquire { expected, epoch } => (Some(expected), epoch, None),
            Action::Create { epoch } => (None, epoch, None),
            Action::Release { expected, epoch, to } => (Some(expected), epoch, Some(to)),
            _ => return,
        };
        if !self.around.witness {
            return self.give(&Event::RoleWritten { asked, outcome: Outcome::Failed });
        }
        if self.stored().map(|role| role.version) != expected {
            return self.give(&Event::RoleWritten { asked, outcome: Outcome::Conflict });
        }
        self.around.peer_renews = false;
        self.store(Some(Record { epoch, released, ..record(Site::Us, 0) }));
        let outcome = Outcome::Stored(self.stored().unwrap());
        self.give(&Event::RoleWritten { asked, outcome });
    }

    /// Somebody writes the role, or deletes it.
    fn store(&mut self, role: Option<Record>) {
        self.version += 1;
        self.around.role = role;
    }

    fn stored(&self) -> Option<Record> {
        self.around.role.clone().map(|role| Record { version: Version(self.version.to_string()), ..role })
    }

    /// When something of this kind was done first.
    fn first(&self, wanted: impl Fn(&Action) -> bool) -> Option<u64> {
        self.done.iter().find(|(_, action)| wanted(action)).map(|(second, _)| *second)
    }

    fn wrote(&self, write: Write) -> Option<u64> {
        self.first(|action| match action {
            Action::Renew { .. } => write == Write::Renew,
            Action::Acquire { .. } => write == Write::Acquire,
            Action::Create { .. } => write == Write::Create,
            Action::Release { .. } => write == Write::Release,
            _ => false,
        })
    }

    fn notices(&self) -> Vec<Notice> {
        let notice = |(_, action): &(u64, Action)| if let Action::Tell(notice) = action { Some(*notice) } else { None };
        self.done.iter().filter_map(notice).collect()
    }

    fn was_told(&self, reason: Reason) -> bool {
        self.notices().iter().any(|notice| match notice {
            Notice::Entered { reason: told, .. } | Notice::NotStarted { reason: told } => *told == reason,
            _ => false,
        })
    }
}
