//! Faults around a holder, and what it does.

use super::*;

#[test]
fn cut_from_the_witness_alone_it_stays_active_by_the_peers_word() {
    let mut scene = Scene::holder(&settings());
    (scene.around.witness, scene.around.acknowledges) = (false, true);
    scene.pass(120);
    assert_eq!(scene.state.phase, Phase::Active);
    assert_eq!(scene.first(|action| matches!(action, Action::WriteDns { .. })), None);
}

#[test]
fn cut_from_both_it_is_isolated_at_the_deadline_and_comes_back_by_a_write() {
    let mut scene = Scene::holder(&settings());
    scene.around.witness = false;
    scene.pass(7);
    assert_eq!(scene.state.phase, Phase::Isolated);
    assert!(scene.was_told(Reason::ProofEnded));
    scene.done.clear();
    scene.around.witness = true;
    scene.pass(2);
    assert!(scene.wrote(Write::Renew).is_some());
    assert_eq!(scene.state.phase, Phase::Active);
}

#[test]
fn an_acknowledgement_does_not_end_isolation() {
    let mut scene = Scene::holder(&settings());
    scene.around.witness = false;
    scene.pass(7);
    scene.give(&Event::Acknowledged { asked: scene.now, epoch: epoch(1) });
    assert_eq!(scene.state.phase, Phase::Isolated);
}

#[test]
fn isolated_and_overtaken_it_drains() {
    let mut scene = Scene::holder(&settings());
    scene.around.witness = false;
    scene.pass(7);
    scene.around.witness = true;
    scene.store(Some(record(Site::Peer, 2)));
    scene.pass(2);
    assert_eq!(scene.state.phase, Phase::Draining);
    assert_eq!(scene.state.kept.preference.unwrap().active, Site::Peer);
    scene.around.own = EMPTY;
    scene.pass(1).give(&Event::Drained);
    assert_eq!(scene.state.phase, Phase::Recovering);
    scene.around.own = READY;
    assert_eq!(scene.pass(1).state.phase, Phase::Standby);
}

#[test]
fn without_capacity_it_hands_over_at_once_if_the_peer_is_ready() {
    let mut scene = Scene::holder(&settings());
    scene.around.own = EMPTY;
    scene.pass(2);
    assert!(scene.wrote(Write::Release).is_some_and(|second| second <= 22));
    assert_eq!(scene.state.phase, Phase::Draining);
    assert!(!scene.state.believes(&scene.settings, scene.now));
}

#[test]
fn it_never_hands_over_to_something_smaller_than_what_is_left() {
    let rows = [(150, 170, false), (150, 200, true), (199, 230, false), (200, 1000, false), (0, 200, true)];
    for (own, peer, hands_over) in rows {
        let mut scene = Scene::holder(&settings());
        scene.around.beacon = Some(Beacon { capacity: Capacity(peer), ..beacon() });
        scene.pass(1);
        scene.around.own.capacity = Capacity(own);
        scene.pass(5);
        assert_eq!(scene.wrote(Write::Release).is_some(), hands_over, "{own} left here, {peer} there");
    }
}

#[test]
fn a_standby_that_must_wake_is_waited_for_and_then_not() {
    let asleep = Beacon { ready: false, capacity: Capacity::NONE, ..beacon() };
    let mut scene = Scene::holder(&settings());
    scene.around.beacon = Some(asleep);
    scene.pass(1).around.own = EMPTY;
    scene.pass(10);
    assert_eq!((scene.state.phase, scene.wrote(Write::Release)), (Phase::Handover, None));
    scene.around.beacon = Some(beacon());
    scene.pass(1);
    assert!(scene.wrote(Write::Release).is_some());
    let mut scene = Scene::holder(&settings());
    scene.around.beacon = Some(asleep);
    scene.pass(1).around.own = EMPTY;
    scene.pass(25);
    assert!(scene.was_told(Reason::TookTooLong) && scene.wrote(Write::Release).is_none());
}

#[test]
fn two_of_three_that_cannot_reach_it_make_it_leave_within_three_seconds() {
    let down = Some(Beacon { sees_you: Verdict::Down, ..beacon() });
    let mut scene = Scene::holder(&settings());
    scene.around.beacon = down;
    scene.pass(10);
    assert_eq!(scene.wrote(Write::Release), None, "one alone is not enough");
    scene.around.observer = Some((Verdict::Down, Verdict::Up));
    scene.pass(3);
    assert!(scene.wrote(Write::Release).is_some());
}

#[test]
fn a_lost_standby_changes_nothing() {
    let mut scene = Scene::holder(&settings());
    (scene.around.beacon, scene.around.probe) = (None, false);
    scene.pass(60);
    assert_eq!(scene.state.phase, Phase::Active);
    scene.around.own = EMPTY;
    scene.pass(10);
    assert_eq!(scene.wrote(Write::Release), None, "there is nobody to leave it to");
}

#[test]
fn a_restart_with_nothing_changed_writes_nothing_but_a_renewal() {
    let mut before = Scene::holder(&settings());
    before.pass(5);
    let mut scene = Scene::new(&settings(), before.state.kept, Around { ..before.around.clone() });
    scene.pass(30);
    assert_eq!(scene.state.phase, Phase::Active);
    for (_, action) in &scene.done {
        assert!(matches!(action, Action::ReadRole | Action::Renew { .. } | Action::Tell(_)), "{action:?}");
    }
    let mut scene = Scene::standby(&settings());
    scene.pass(5);
    let mut scene = Scene::new(&settings(), scene.state.kept, Around::standby());
    scene.pass(60);
    assert!(scene.done.iter().all(|(_, action)| matches!(action, Action::ReadRole | Action::Tell(_))));
}

#[test]
fn a_flapping_path_never_makes_down() {
    let mut scene = Scene::standby(&settings());
    scene.around.observer = Some((Verdict::Up, Verdict::Down));
    for round in 0..60 {
        scene.around.probe = round % 3 == 0;
        scene.pass(1);
    }
    assert_eq!(scene.state.phase, Phase::Standby);
    scene.around.probe = false;
    scene.pass(3);
    assert_eq!(scene.state.phase, Phase::Arming);
    scene.around.probe = true;
    scene.pass(9);
    assert_eq!(scene.state.phase, Phase::Arming, "it must answer for ten seconds");
    scene.pass(3);
    assert_eq!(scene.state.phase, Phase::Standby);
}

#[test]
fn hold_off_bars_a_voluntary_handover_but_not_one_from_nothing() {
    let switched = Kept { highest: epoch(1), held: Some(epoch(1)), switches: 1, ..Kept::default() };
    let low = Own { capacity: Capacity(100), ..READY };
    for (own, switches, obstacle) in
        [(low, 1, Some(Reason::HoldOff)), (low, 3, Some(Reason::TooManySwitches)), (EMPTY, 3, None)]
    {
        let mut scene = Scene::new(&settings(), Kept { switches, ..switched }, Around { own, ..Around::holder() });
        scene.pass(20);
        assert!(obstacle.is_none_or(|reason| scene.was_told(reason)), "{own:?} after {switches}");
        assert_eq!(scene.wrote(Write::Release).is_some(), obstacle.is_none());
        assert_eq!(scene.state.shown(&scene.settings, scene.now) == Phase::Frozen, switches == 3);
    }
}

#[test]
fn a_site_that_is_not_ready_in_time_gives_the_role_back() {
    let mut scene = Scene::standby(&settings());
    (scene.around.own, scene.around.peer_renews) = (EMPTY, false);
    scene.store(Some(record(Site::Us, 7)));
    scene.pass(18);
    assert_eq!(scene.state.phase, Phase::Promoting, "it took up what bears its name");
    scene.pass(3);
    assert!(scene.was_told(Reason::NotReady) && scene.wrote(Write::Release).is_some());
}

#[test]
fn a_replica_that_does_not_lead_renews_and_writes_nothing_else() {
    let mut scene = Scene::holder(&settings());
    scene.around.leads = false;
    (scene.around.own, scene.state.kept.dns) = (EMPTY, None);
    scene.pass(10);
    assert!(scene.wrote(Write::Renew).is_some());
    assert_eq!(scene.wrote(Write::Release), None);
    assert_eq!(scene.first(|action| matches!(action, Action::WriteDns { .. })), None);
    scene.around.leads = true;
    scene.pass(3);
    assert_eq!(scene.wrote(Write::Release), None, "a write of the replica that led before may still land");
    scene.pass(2);
    assert!(scene.wrote(Write::Release).is_some());
}

#[test]
fn what_another_replica_gave_away_is_given_away() {
    for said in [Event::SiblingPromised, Event::SiblingReleased] {
        let mut scene = Scene::holder(&settings());
        scene.give(&said);
        assert_eq!(scene.state.phase, Phase::Draining);
        scene.pass(7);
        assert!(scene.wrote(Write::Renew).is_none() && scene.state.obstacle == Some(Reason::Promised));
        scene.pass(3);
        assert_eq!(scene.state.phase, Phase::Active, "it was given to nobody, and the promise is over");
    }
}

#[test]
fn a_peer_that_lies_about_epochs_is_not_believed() {
    let mut scene = Scene::holder(&settings());
    scene.around.beacon = Some(Beacon { highest: epoch(u64::MAX), ..beacon() });
    scene.pass(3);
    assert_eq!(scene.state.kept.highest, epoch(1));
    assert!(scene.notices().contains(&Notice::PeerImplausible));
}

#[test]
fn a_peer_that_served_alone_makes_the_holder_rise_above_it() {
    let mut scene = Scene::holder(&settings());
    scene.around.beacon = Some(Beacon { highest: epoch(5), ..beacon() });
    scene.pass(3);
    assert_eq!((scene.state.phase, scene.state.kept.held), (Phase::Active, Some(epoch(6))));
}
