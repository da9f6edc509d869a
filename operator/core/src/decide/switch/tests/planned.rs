//! Switchover and failback.

use super::super::event::Command;
use super::*;

const SWITCHOVER: Event = Event::Ordered(Command::Switchover { accept_degraded: false });

fn shares(scene: &Scene) -> Vec<(u64, u8)> {
    let share = |(second, action): &(u64, Action)| match action {
        Action::SetPreference(preference) if preference.active == Site::Us => Some((*second - 20, preference.other)),
        _ => None,
    };
    scene.done.iter().filter_map(share).collect()
}

#[test]
fn a_switchover_grows_and_then_gives_the_role_away() {
    let mut scene = Scene::holder(&settings());
    scene.give(&SWITCHOVER);
    scene.pass(35);
    assert_eq!(shares(&scene), [(0, 10), (10, 50), (20, 100)]);
    assert_eq!(scene.wrote(Write::Release), Some(50));
    assert_eq!(scene.state.phase, Phase::Draining);
}

#[test]
fn until_then_it_can_be_aborted() {
    let mut scene = Scene::holder(&settings());
    scene.give(&SWITCHOVER);
    scene.pass(25);
    scene.give(&Event::Ordered(Command::Abort));
    scene.pass(20);
    assert_eq!(shares(&scene), [(0, 10), (10, 50), (20, 100), (25, 0)]);
    assert_eq!((scene.state.phase, scene.wrote(Write::Release)), (Phase::Active, None));
}

#[test]
fn each_check_is_made_before_and_during() {
    type Change = fn(&mut Around);
    let rows: [(Change, Reason); 6] = [
        (|around| around.beacon = None, Reason::PeerSilent),
        (|around| around.beacon = Some(Beacon { ready: false, ..beacon() }), Reason::PeerNotReady),
        (|around| around.beacon = Some(Beacon { same_spec: false, ..beacon() }), Reason::PeerSpecDiffers),
        (|around| around.beacon = Some(Beacon { capacity: Capacity(499), ..beacon() }), Reason::PeerTooSmall),
        (|around| around.probe = false, Reason::PathDegraded),
        (|around| around.beacon = Some(Beacon { witness: false, ..beacon() }), Reason::WitnessLost),
    ];
    for (change, reason) in rows {
        let mut before = Scene::holder(&settings());
        change(&mut before.around);
        before.pass(7).give(&SWITCHOVER);
        assert!(before.was_told(reason) && before.state.phase == Phase::Active, "{reason:?} {:?}", before.notices());
        let mut during = Scene::holder(&settings());
        during.give(&SWITCHOVER);
        during.pass(15);
        change(&mut during.around);
        during.pass(30);
        assert!(during.was_told(reason) && during.wrote(Write::Release).is_none(), "{reason:?}");
        assert_eq!(during.state.phase, Phase::Active, "{reason:?}");
    }
}

#[test]
fn a_person_may_accept_less() {
    let mut scene = Scene::holder(&settings());
    scene.around.beacon = Some(Beacon { capacity: Capacity(300), ..beacon() });
    scene.pass(1).give(&Event::Ordered(Command::Switchover { accept_degraded: true }));
    scene.pass(35);
    assert!(scene.wrote(Write::Release).is_some());
}

#[test]
fn the_standby_follows_the_shares_of_the_holder() {
    let mut scene = Scene::standby(&settings());
    scene.around.beacon = Some(Beacon { holds: Some(epoch(1)), offers: Some(50), ..beacon() });
    scene.pass(2);
    let preference = scene.state.kept.preference.unwrap();
    assert_eq!((preference.active, preference.other), (Site::Peer, 50));
    assert!(scene.was_told(Reason::PeerHandsOver) && scene.state.armed);
}

#[test]
fn failback_waits_for_a_person_unless_asked_to_be_automatic() {
    let mut scene = Scene::holder(&settings());
    scene.pass(700);
    assert_eq!((scene.state.phase, scene.state.obstacle), (Phase::Active, Some(Reason::FailbackPending)));
    let automatic = Failback { mode: Mode::Automatic, ..settings().failback };
    let mut scene = Scene::holder(&Settings { failback: automatic, ..settings() });
    scene.pass(570);
    assert_eq!(scene.state.phase, Phase::Active, "the primary has not been well for long enough");
    scene.pass(50);
    assert!(scene.was_told(Reason::FailbackDue) && scene.wrote(Write::Release).is_some());
}

#[test]
fn the_primary_does_not_fail_back_from_itself() {
    let automatic = Failback { mode: Mode::Automatic, ..settings().failback };
    let mut scene = Scene::holder(&Settings { primary: true, failback: automatic, ..settings() });
    scene.pass(700);
    assert_eq!(scene.wrote(Write::Release), None);
}

#[test]
fn without_a_witness_a_refused_offer_comes_back_above_it() {
    let alone = Settings { witness: false, observer: false, ..settings() };
    let kept = Kept { highest: epoch(1), held: Some(epoch(1)), ..Kept::default() };
    let mut scene = Scene::new(&alone, kept, Around::holder());
    scene.pass(10);
    assert_eq!(scene.state.phase, Phase::Active);
    scene.give(&SWITCHOVER);
    scene.pass(31);
    assert!(scene.first(|action| *action == Action::OfferRole { epoch: epoch(2) }).is_some());
    assert_eq!(scene.state.phase, Phase::Draining);
    scene.give(&Event::RoleRefused { epoch: epoch(2) });
    assert_eq!((scene.state.phase, scene.state.kept.held), (Phase::Active, Some(epoch(3))));
    scene.give(&Event::RoleRefused { epoch: epoch(2) });
    assert_eq!(scene.state.kept.held, Some(epoch(3)), "once");
}

#[test]
fn what_was_refused_is_never_taken() {
    let alone = Settings { witness: false, observer: false, ..settings() };
    let mut scene = Scene::new(&alone, Kept { highest: epoch(1), ..Kept::default() }, Around::standby());
    scene.around.own = EMPTY;
    scene.pass(10);
    scene.give(&Event::RoleOffered { epoch: epoch(2) });
    assert!(scene.first(|action| *action == Action::RefuseRole { epoch: epoch(2) }).is_some());
    scene.around.own = READY;
    scene.pass(1);
    scene.give(&Event::RoleOffered { epoch: epoch(2) });
    assert_eq!(scene.state.kept.held, None, "the same offer, late");
    scene.give(&Event::RoleOffered { epoch: epoch(3) });
    assert_eq!((scene.state.phase, scene.state.kept.held), (Phase::Active, Some(epoch(3))));
}
