//! The table on top of `standby`, row by row.

use super::*;

const BOTH_DOWN: Option<(Verdict, Verdict)> = Some((Verdict::Up, Verdict::Down));

fn released(to: Site) -> Record {
    Record { released: Some(to), ..record(Site::Peer, 1) }
}

/// What a standby has come to after half a minute in these surroundings.
fn after(settings: &Settings, change: impl Fn(&mut Around)) -> (Phase, Option<Reason>, Scene) {
    let mut scene = Scene::standby(settings);
    change(&mut scene.around);
    scene.version += 1;
    scene.pass(30);
    (scene.state.phase, scene.state.obstacle, scene)
}

type Row = (&'static str, fn(&mut Around), Phase, Option<Reason>);

#[test]
fn every_row_of_the_table() {
    let rows: [Row; 12] = [
        ("fresh, up", |_| {}, Phase::Standby, None),
        ("fresh, down for us", |around| around.probe = false, Phase::Arming, Some(Reason::PathDegraded)),
        (
            "fresh, down",
            |around| (around.probe, around.observer) = (false, BOTH_DOWN),
            Phase::Arming,
            Some(Reason::LeaseFresh),
        ),
        ("expired, up", |around| around.peer_renews = false, Phase::Arming, Some(Reason::PeerControlPlaneImpaired)),
        (
            "expired, down for us",
            |around| (around.peer_renews, around.probe) = (false, false),
            Phase::Arming,
            Some(Reason::ObserverDoesNotAgree),
        ),
        (
            "expired, down, observer silent",
            |around| (around.peer_renews, around.probe, around.observer) = (false, false, None),
            Phase::Arming,
            Some(Reason::ObserverDoesNotAgree),
        ),
        (
            "expired, down",
            |around| (around.peer_renews, around.probe, around.observer) = (false, false, BOTH_DOWN),
            Phase::Active,
            None,
        ),
        ("released to us", |around| around.role = Some(released(Site::Us)), Phase::Active, None),
        (
            "released to somebody who does not come",
            |around| (around.role, around.peer_renews) = (Some(released(Site::Peer)), false),
            Phase::Active,
            None,
        ),
        ("witness silent, peer answers", |around| around.witness = false, Phase::Standby, Some(Reason::WitnessLost)),
        (
            "held by a stranger",
            |around| around.role = Some(record(Site::Stranger, 4)),
            Phase::Standby,
            Some(Reason::Stranger),
        ),
        (
            "nothing answers us",
            |around| {
                around.paths = Paths { hairpin: false, references: false };
                (around.witness, around.probe, around.observer, around.beacon) = (false, false, None, None);
            },
            Phase::Isolated,
            None,
        ),
    ];
    for (row, change, phase, obstacle) in rows {
        let (is, told, scene) = after(&settings(), change);
        assert_eq!(is, phase, "{row}: {:?}", scene.notices());
        assert_eq!(told, obstacle, "{row}");
        assert_eq!(scene.wrote(Write::Acquire).is_some(), phase == Phase::Active, "{row}");
    }
}

fn site_loss(around: &mut Around) {
    (around.peer_renews, around.probe, around.observer, around.beacon) = (false, false, BOTH_DOWN, None);
}

#[test]
fn after_the_loss_of_a_site_the_role_is_taken_within_twelve_seconds() {
    let (_, _, scene) = after(&settings(), site_loss);
    let taken = scene.wrote(Write::Acquire).unwrap() - 20;
    assert!((8..=12).contains(&taken), "{taken} s");
    let armed = scene.first(|action| *action == Action::Arm).unwrap() - 20;
    assert!(armed <= 4, "it gets ready while the lease still runs: {armed} s");
}

#[test]
fn a_holder_that_nobody_reaches_is_asked_to_hand_over() {
    let (_, _, scene) = after(&settings(), |around| (around.probe, around.observer) = (false, BOTH_DOWN));
    assert!(scene.first(|action| *action == Action::AskHandover { epoch: epoch(1) }).is_some());
}

#[test]
fn without_a_quorum_the_spec_decides() {
    let lost = |around: &mut Around| {
        site_loss(around);
        around.witness = false;
    };
    let (phase, _, scene) = after(&settings(), lost);
    assert_eq!(phase, Phase::Active);
    assert!(scene.state.unarbitrated);
    assert_eq!(scene.first(|action| matches!(action, Action::WriteDns { .. })), None, "nothing shared is written");
    let held = Settings { on_quorum_loss: QuorumLoss::Hold, ..settings() };
    let (phase, obstacle, _) = after(&held, lost);
    assert_eq!((phase, obstacle), (Phase::Arming, Some(Reason::QuorumLostHold)));
}

#[test]
fn nothing_is_taken_against_a_gate_a_person_or_a_promise() {
    let (phase, obstacle, _) = after(&settings(), |around| {
        site_loss(around);
        around.own = EMPTY;
    });
    assert_eq!((phase, obstacle), (Phase::Arming, Some(Reason::NotReady)));
    let (_, obstacle, _) = after(&Settings { mode: Mode::Manual, ..settings() }, site_loss);
    assert_eq!(obstacle, Some(Reason::ManualMode));
    let (_, obstacle, _) = after(&Settings { paused: true, ..settings() }, site_loss);
    assert_eq!(obstacle, Some(Reason::Paused));
}

#[test]
fn an_acknowledgement_bars_for_a_lease() {
    let mut scene = Scene::standby(&settings());
    scene.give(&Event::AcknowledgementAsked { epoch: epoch(1) });
    assert_eq!(scene.done.last().unwrap().1, Action::Acknowledge { epoch: epoch(1) });
    let promised = scene.second();
    scene.store(Some(released(Site::Us)));
    scene.pass(20);
    assert_eq!(scene.wrote(Write::Acquire), Some(promised + 8), "even what is released to us");
}

#[test]
fn no_acknowledgement_for_a_holder_that_is_down_while_we_are_ready() {
    let mut scene = Scene::standby(&settings());
    scene.around.probe = false;
    scene.pass(4);
    let asked = Event::AcknowledgementAsked { epoch: epoch(1) };
    scene.give(&asked);
    assert_eq!(scene.state.promise, None);
    scene.around.own = EMPTY;
    scene.pass(1);
    scene.give(&asked);
    assert!(scene.state.has_promised(scene.now), "we could not do better");
}

#[test]
fn no_acknowledgement_of_an_older_epoch() {
    let mut scene = Scene::standby(&settings());
    scene.give(&Event::AcknowledgementAsked { epoch: epoch(0) });
    assert_eq!(scene.state.promise, None);
}

#[test]
fn the_first_role_is_the_primarys_at_once_and_the_others_after_a_lease() {
    let nobody = Around { role: None, beacon: Some(Beacon { highest: Epoch::NEVER, ..beacon() }), ..Around::holder() };
    let mut primary = Scene::new(&Settings { primary: true, ..settings() }, Kept::default(), nobody.clone());
    primary.pass(3);
    assert_eq!(primary.wrote(Write::Create), Some(1));
    assert_eq!(primary.state.kept.held, Some(Epoch { counter: 1, rank: 1 }));
    let mut other = Scene::new(&settings(), Kept::default(), nobody.clone());
    other.pass(20);
    assert_eq!(other.wrote(Write::Create), Some(9));
    let mut forgetful =
        Scene::new(&Settings { primary: true, ..settings() }, Kept::default(), Around { beacon: None, ..nobody });
    forgetful.pass(20);
    assert_eq!(forgetful.wrote(Write::Create), Some(9), "it may have forgotten: the peer says nothing");
    assert_eq!(forgetful.state.kept.held, Some(Epoch { counter: 1000, rank: 1 }));
}

#[test]
fn a_role_that_was_deleted_comes_back_far_above() {
    let mut holder = Scene::holder(&settings());
    holder.store(None);
    holder.pass(3);
    assert_eq!(holder.state.kept.held, Some(epoch(1001)));
    let (phase, _, standby) = after(&settings(), |around| around.role = None);
    assert_eq!((phase, standby.state.kept.held), (Phase::Active, Some(epoch(1001))));
    assert_eq!(standby.wrote(Write::Create), Some(29));
}

#[test]
fn a_record_that_names_us_is_watched_unless_we_know_why() {
    let (phase, _, scene) = after(&settings(), |around| {
        (around.role, around.peer_renews) = (Some(record(Site::Us, 7)), false);
    });
    assert_eq!(phase, Phase::Active);
    assert_eq!(scene.wrote(Write::Renew), Some(29));
    assert!(scene.was_told(Reason::NamedUnknowing));
}

#[test]
fn an_epoch_that_fell_is_raised() {
    let mut scene = Scene::holder(&settings());
    scene.state.kept.highest = epoch(9);
    scene.pass(2);
    assert_eq!(scene.state.kept.held, Some(epoch(10)));
}

#[test]
fn a_person_vouches_for_the_data_plane_but_not_for_the_lease() {
    let mut scene = Scene::standby(&Settings { mode: Mode::Manual, ..settings() });
    scene.give(&Event::Ordered(super::super::event::Command::Promote));
    scene.pass(10);
    assert_eq!(scene.wrote(Write::Acquire), None, "the peer renews");
    scene.around.peer_renews = false;
    scene.pass(12);
    assert!(scene.was_told(Reason::ExpiredAndOrdered) && scene.state.phase == Phase::Active);
}
