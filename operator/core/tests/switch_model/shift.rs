//! Makes worlds equal that differ in nothing that matters: all clocks show the same after each tick, ages beyond every time-out are one,
//! and versions are numbered from one. Every field is named: a new one that holds a moment must be thought of here.

use std::collections::BTreeSet;
use std::time::Duration;

use deepseek_core::decide::switch::event::{Event, Outcome};
use deepseek_core::decide::switch::guard::Guard;
use deepseek_core::decide::switch::handover::Handover;
use deepseek_core::decide::switch::role::{Epoch, Record, Sight, Sighting, Version};
use deepseek_core::decide::switch::state::{Order, Peer, Pending};
use deepseek_core::decide::switch::vantage::{Observer, Probes};
use deepseek_core::decide::switch::{Action, Moment, State};

use crate::world::{Flight, World};

const NOW: Duration = Duration::from_secs(100);

/// What every clock shows between two ticks.
pub const BASE: Moment = Moment::from_millis(100_000);

/// The world as it will be compared.
pub fn shifted(mut world: World) -> World {
    let clocks: Vec<_> = world.processes.iter().map(|process| process.now).collect();
    for (process, now) in world.processes.iter_mut().zip(&clocks) {
        process.now = BASE;
        process.state = process.state.take().map(|state| state_at(state, *now));
    }
    for kept in &mut world.kept {
        kept.switches = 0;
        kept.preference = None;
    }
    world.dns = Epoch::NEVER;
    for flight in &mut world.flights {
        if let Flight::Answer { to, event } = flight {
            shift_event(event, clocks[*to]);
        }
    }
    renumber(&mut world);
    world
}

/// An age of at least `limit` seconds is that: nothing asks for more.
fn moment(at: Moment, now: Moment, limit: u64) -> Moment {
    let oldest = Duration::from_secs(limit);
    if at > now { BASE + at.since(now) } else { Moment::after_start(NOW.saturating_sub(now.since(at).min(oldest))) }
}

fn state_at(state: State, now: Moment) -> State {
    let at = |then: Moment, limit: u64| moment(then, now, limit);
    let maybe = |then: Option<Moment>, limit: u64| then.map(|then| at(then, limit));
    let State {
        phase,
        since,
        started,
        mut kept,
        role: Sighting { sight, changed, asked: role_asked, answered, stale, failing, read, first },
        pending,
        tried,
        proof,
        unarbitrated,
        promise,
        asked,
        leads,
        own,
        unready,
        peer: Peer { said, asked: peer_asked, heard, idle, ready },
        probes: Probes { failures, verdict, good },
        observer: Observer { us, peer: observed, heard: observer_heard },
        paths,
        handover,
        offered,
        guard: _,
        order,
        armed: _,
        dual: _,
        dns,
        obstacle: _,
    } = state;
    kept.switches = 0;
    // what gateways and people are told changes nothing here
    kept.preference = None;
    // shared writes go out all the time
    kept.dns = None;
    State {
        phase,
        since: at(since, 2),
        started: at(started, 6),
        kept,
        role: Sighting {
            sight,
            changed: at(changed, 5),
            asked: at(role_asked, 3),
            answered: maybe(answered, 3),
            stale,
            failing,
            read: maybe(read, 1),
            first,
        },
        pending: pending.map(|Pending { write, sent }| Pending { write, sent: at(sent, 2) }),
        tried,
        // ended proofs and promises are none
        proof: maybe(proof, 3).filter(|since| BASE.since(*since) < Duration::from_secs(3)),
        unarbitrated,
        promise: maybe(promise, 0).filter(|until| *until > BASE),
        asked: maybe(asked, 1),
        leads: maybe(leads, 3),
        own,
        unready: maybe(unready, 2),
        peer: Peer {
            said,
            asked: at(peer_asked, 3),
            heard: maybe(heard, 6),
            idle: maybe(idle, 5),
            ready: maybe(ready, 5),
        },
        probes: Probes { failures, verdict, good: maybe(good, 1) },
        observer: Observer { us, peer: observed, heard: maybe(observer_heard, 3) },
        paths,
        handover: handover.map(|Handover { cause, since, accept_degraded }| Handover {
            cause,
            since: at(since, 4),
            accept_degraded,
        }),
        offered,
        // hold-off is not part of the model
        guard: Guard::default(),
        order: order.map(|Order { until }| Order { until: at(until, 0) }),
        armed: false,
        dual: false,
        dns: maybe(dns, 3),
        obstacle: None,
    }
}

fn shift_event(event: &mut Event, now: Moment) {
    match event {
        Event::RoleRead { asked, .. } | Event::RoleWritten { asked, .. } | Event::Acknowledged { asked, .. } => {
            *asked = moment(*asked, now, 6);
        }
        _ => {}
    }
}

fn renumber(world: &mut World) {
    let mut seen = BTreeSet::new();
    seen.extend(world.role.as_ref().map(|stored| stored.version));
    each_version(world, &mut |version| {
        seen.insert(version.0.parse::<u64>().unwrap());
    });
    let number = |version: u64| seen.iter().position(|other| *other == version).unwrap() as u64 + 1;
    each_version(world, &mut |version| version.0 = number(version.0.parse().unwrap()).to_string());
    if let Some(stored) = &mut world.role {
        stored.version = number(stored.version);
    }
    world.version = seen.len() as u64;
}

fn each_version(world: &mut World, visit: &mut dyn FnMut(&mut Version)) {
    for state in world.processes.iter_mut().filter_map(|process| process.state.as_mut()) {
        if let Sight::Present(Record { version, .. }) = &mut state.role.sight {
            visit(version);
        }
    }
    for flight in &mut world.flights {
        let version = match flight {
            Flight::Write { write: Action::Renew { expected, .. }, .. }
            | Flight::Write { write: Action::Acquire { expected, .. }, .. }
            | Flight::Write { write: Action::Release { expected, .. }, .. } => Some(expected),
            Flight::Answer { event: Event::RoleRead { role: Some(record), .. }, .. }
            | Flight::Answer { event: Event::RoleWritten { outcome: Outcome::Stored(record), .. }, .. } => {
                Some(&mut record.version)
            }
            _ => None,
        };
        if let Some(version) = version {
            visit(version);
        }
    }
}
