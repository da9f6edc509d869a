//! What holds whatever happens to one site, in any order.

use proptest::prelude::*;

use super::super::event::Command;
use super::super::vantage::DataPlane;
use super::*;

fn any_site() -> impl Strategy<Value = Site> {
    prop_oneof![3 => Just(Site::Us), 4 => Just(Site::Peer), 1 => Just(Site::Stranger)]
}

fn any_epoch() -> impl Strategy<Value = Epoch> {
    (0..6_u64, 0..2_u8).prop_map(|(counter, rank)| Epoch { counter, rank })
}

fn any_record() -> impl Strategy<Value = Record> {
    (any_site(), any_epoch(), proptest::option::weighted(0.2, any_site()), 0..6_u8).prop_map(
        |(holder, epoch, released, version)| Record { holder, epoch, released, version: Version(version.to_string()) },
    )
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Unknown), Just(Verdict::Up), Just(Verdict::Down)]
}

fn any_own() -> impl Strategy<Value = Own> {
    (0..1200_u32, 0..1000_u32, any::<bool>(), prop::bool::weighted(0.9)).prop_map(|(capacity, demand, hot, canary)| {
        Own { capacity: Capacity(capacity), demand: Capacity(demand), hot, canary }
    })
}

prop_compose! {
    fn any_beacon()(
        holds in proptest::option::of(any_epoch()),
        highest in any_epoch(),
        ready: bool,
        capacity in 0..1200_u32,
        sees_you in any_verdict(),
        offers in proptest::option::of(0..100_u8),
        witness in prop::bool::weighted(0.8),
    ) -> Beacon {
        Beacon { holds, highest, ready, capacity: Capacity(capacity), canaries: 20, sees_you, same_spec: true, offers, witness }
    }
}

/// An event, or the answer to what was asked for last: without those nothing would ever come of anything.
#[derive(Clone, Debug)]
enum Next {
    Some(Event),
    Stored,
    Conflict,
    Read(Option<Record>),
    Acknowledged,
    PeerHeard(Beacon),
}

fn any_next() -> impl Strategy<Value = Next> {
    let some = |event| Just(Next::Some(event));
    prop_oneof![
        6 => some(Event::Tick),
        4 => Just(Next::Stored),
        1 => Just(Next::Conflict),
        4 => proptest::option::weighted(0.9, any_record()).prop_map(Next::Read),
        1 => some(Event::ReadFailed),
        1 => Just(Next::Acknowledged),
        3 => any::<bool>().prop_map(|answered| Next::Some(Event::Probed { answered })),
        2 => (any_verdict(), any_verdict()).prop_map(|(us, peer)| Next::Some(Event::Observed { us, peer })),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(hairpin, references)| Next::Some(Event::Connectivity(Paths { hairpin, references }))),
        3 => any_own().prop_map(|own| Next::Some(Event::OwnState(own))),
        3 => any_beacon().prop_map(Next::PeerHeard),
        1 => any_epoch().prop_map(|epoch| Next::Some(Event::AcknowledgementAsked { epoch })),
        1 => any_epoch().prop_map(|epoch| Next::Some(Event::HandoverAsked { epoch })),
        1 => any_epoch().prop_map(|epoch| Next::Some(Event::RoleOffered { epoch })),
        1 => any_epoch().prop_map(|epoch| Next::Some(Event::RoleRefused { epoch })),
        1 => any_epoch().prop_map(|epoch| Next::Some(Event::DnsWritten { epoch, done: true })),
        1 => some(Event::SiblingPromised),
        1 => some(Event::SiblingReleased),
        1 => some(Event::Leads { leads: true }),
        1 => some(Event::Drained),
        1 => prop_oneof![
            Just(Command::Switchover { accept_degraded: true }),
            Just(Command::Abort),
            Just(Command::Promote)
        ].prop_map(|command| Next::Some(Event::Ordered(command))),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), prop::bool::weighted(0.8), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |(primary, witness, observer, promote, paused)| Settings {
            primary,
            witness,
            observer,
            on_quorum_loss: if promote { QuorumLoss::Promote } else { QuorumLoss::Hold },
            paused,
            ..settings()
        },
    )
}

/// A site, what it does, and what it was before each step.
struct Run {
    settings: Settings,
    state: State,
    now: Moment,
    asked: Option<Action>,
    version: u64,
}

impl Run {
    fn event(&mut self, next: &Next) -> Event {
        let asked = self.state.pending.map_or(self.now, |pending| pending.sent);
        let stored = match &self.asked {
            Some(Action::Renew { epoch, .. } | Action::Acquire { epoch, .. } | Action::Create { epoch }) => {
                Some((*epoch, None))
            }
            Some(Action::Release { epoch, to, .. }) => Some((*epoch, Some(*to))),
            _ => None,
        };
        match next {
            Next::Some(event) => event.clone(),
            Next::Read(role) => Event::RoleRead { asked: self.now, role: role.clone() },
            Next::Acknowledged => {
                Event::Acknowledged { asked: self.now, epoch: self.state.kept.held.unwrap_or_default() }
            }
            Next::PeerHeard(beacon) => Event::PeerHeard { asked: self.now, direct: true, beacon: *beacon },
            Next::Conflict => Event::RoleWritten { asked, outcome: Outcome::Conflict },
            Next::Stored => stored.map_or(Event::Tick, |(epoch, released)| {
                self.version += 1;
                let version = Version(format!("w{}", self.version));
                let record = Record { holder: Site::Us, epoch, released, version };
                Event::RoleWritten { asked, outcome: Outcome::Stored(record) }
            }),
        }
    }

    fn go(&mut self, next: &Next, millis: u64) -> (State, Vec<Action>) {
        self.now = self.now + Duration::from_millis(millis);
        let event = self.event(next);
        let before = self.state.clone();
        let (state, actions) = step(&self.settings, self.state.clone(), &event, self.now);
        self.state = state;
        let write = |action: &&Action| {
            matches!(
                action,
                Action::Renew { .. } | Action::Acquire { .. } | Action::Create { .. } | Action::Release { .. }
            )
        };
        if let Some(action) = actions.iter().rfind(write) {
            self.asked = Some(action.clone());
        }
        (before, actions)
    }
}

fn run(settings: &Settings, start: Moment) -> Run {
    Run { settings: *settings, state: State::restarted(Kept::default(), start), now: start, asked: None, version: 0 }
}

fn check(run: &Run, before: &State, actions: &[Action]) -> Result<(), TestCaseError> {
    let (state, settings, now) = (&run.state, &run.settings, run.now);
    prop_assert!(state.kept.highest >= before.kept.highest, "S2: what was seen never falls");
    prop_assert!(
        state.kept.held.is_none_or(|held| held <= state.kept.highest),
        "S2: nothing is held above what was seen"
    );
    prop_assert!(
        !state.believes(settings, now) || state.unarbitrated || state.has_proof(settings, now),
        "S1: no belief without proof"
    );
    for action in actions {
        match action {
            Action::WriteDns { epoch } => {
                prop_assert!(state.may_write(settings, now), "S3: it lands before the proof ends");
                prop_assert_eq!(Some(*epoch), state.kept.held);
                prop_assert!(!state.unarbitrated, "S3: not without an arbiter");
            }
            Action::Acquire { epoch, .. } => {
                prop_assert!(*epoch > before.kept.highest.min(state.kept.highest), "S2: it rises");
                let record = state.role.sight.record().unwrap();
                let ours = record.holder == Site::Us;
                let released = record.released.is_some();
                let stood = state.role.has_stood(settings.timing.lease, now);
                let down = state.data_plane(settings, now) == DataPlane::Down;
                let ordered = before.order.or(state.order).is_some();
                prop_assert!(ours || released || stood && (down || ordered), "S4: expired and down, or released");
                prop_assert!(ours && !released || state.is_ready(settings), "S5: only when ready");
                prop_assert!(!state.has_promised(now), "rule 3");
                prop_assert!(!settings.paused || ours, "what bears our name is kept even then");
            }
            Action::Create { .. } => {
                prop_assert!(state.has_proof(settings, now) || state.is_ready(settings), "S5: only when ready");
                prop_assert!(!state.has_promised(now), "rule 3");
            }
            Action::Release { .. } => {
                prop_assert!(!state.believes(settings, now), "rule 2: belief ends with the release");
            }
            Action::Acknowledge { .. } => {
                prop_assert!(state.has_promised(now) && !state.believes(settings, now), "rule 3");
            }
            Action::SetPreference(preference) => {
                let last = before.kept.preference.map_or(Epoch::NEVER, |last| last.epoch);
                prop_assert!(preference.epoch >= last, "a gateway would refuse it");
                prop_assert!(preference.other <= 100);
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_a_rule(
        settings in any_settings(),
        story in proptest::collection::vec((any_next(), 0..4000_u64), 0..120),
    ) {
        let mut run = run(&settings, Moment::START);
        for (next, millis) in &story {
            let (before, actions) = run.go(next, *millis);
            check(&run, &before, &actions)?;
        }
    }

    /// S10: no clock of the wall is read, so the same story told later is the same story.
    #[test]
    fn only_differences_of_time_matter(
        settings in any_settings(),
        story in proptest::collection::vec((any_next(), 0..4000_u64), 0..60),
        later in 1..100_000_u64,
    ) {
        let (mut now, mut then) = (run(&settings, Moment::START), run(&settings, Moment::from_millis(later)));
        for (next, millis) in &story {
            prop_assert_eq!(now.go(next, *millis).1, then.go(next, *millis).1);
        }
    }

    /// S8: in no hour more than three voluntary switches, whatever the peer says.
    #[test]
    fn switches_are_limited(beacons in proptest::collection::vec(any_beacon(), 1..12)) {
        let mut scene = Scene::holder(&Settings { failback: Failback { hold_off: Duration::ZERO, ..settings().failback }, ..settings() });
        scene.around.own.capacity = Capacity(100);
        for said in &beacons {
            scene.around.beacon = Some(*said);
            scene.pass(40);
            if scene.state.phase != Phase::Active {
                // the peer takes it, and gives it back
                scene.store(Some(record(Site::Peer, scene.state.kept.highest.counter + 1)));
                scene.pass(2);
                scene.store(Some(Record { released: Some(Site::Us), ..record(Site::Peer, scene.state.kept.highest.counter) }));
                scene.around.own.capacity = Capacity(1000);
                scene.pass(20);
                scene.around.own.capacity = Capacity(100);
            }
        }
        let releases = scene.done.iter().filter(|(_, action)| matches!(action, Action::Release { .. })).count();
        prop_assert!(releases <= 3, "{releases}");
    }
}
