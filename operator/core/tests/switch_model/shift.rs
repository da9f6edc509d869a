//! Makes worlds equal that differ in nothing that matters: all clocks show the same after each tick, ages beyond every time-out are one,
//! and versions are numbered from one. Every field is named: a new one that holds a moment must be thought of here.

use std::collections::BTreeSet;
use std::time::Duration;

use deepseek_core::decide::switch::guard::Guard;
use deepseek_core::decide::switch::event::{Event, Outcome};
use deepseek_core::decide::switch::handover::Handover;
use deepseek_core::decide::switch::role::{Record, Sight, Sighting, Version};
use deepseek_core::decide::switch::state::{Peer, Pending};
use deepseek_core::decide::switch::vantage::{Observer, Probes};
use deepseek_core::decide::switch::{Action, Moment, State};

use crate::world::{Flight, World};

const NOW: Duration = Duration::from_secs(100);
const OLDEST: Duration = Duration::from_secs(9);

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
    }
    for flight in &mut world.flights {
        if let Flight::Answer { to, event } = flight {
            shift_event(event, clocks[*to]);
        }
    }
    renumber(&mut world);
    world
}

fn moment(at: Moment, now: Moment) -> Moment {
    if at > now { BASE + at.since(now) } else { Moment::after_start(NOW.saturating_sub(now.since(at).min(OLDEST))) }
}

fn state_at(state: State, now: Moment) -> State {
    let at = |moment_: Moment| moment(moment_, now);
    let maybe = |moment_: Option<Moment>| moment_.map(at);
    let State {
        phase,
        since,
        started,
        mut kept,
        role: Sighting { sight, changed, asked: role_asked, answered, stale, read, first },
        pending,
        tried,
        proof,
        unarbitrated,
        promise,
        asked,
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
        armed,
        dns,
        obstacle,
    } = state;
    kept.switches = 0;
    State {
        phase,
        since: at(since),
        started: at(started),
        kept,
        role: Sighting {
            sight,
            changed: at(changed),
            asked: at(role_asked),
            answered: maybe(answered),
            stale,
            read: maybe(read),
            first,
        },
        pending: pending.map(|Pending { write, sent }| Pending { write, sent: at(sent) }),
        tried,
        // ended proofs and promises are none
        proof: maybe(proof).filter(|since| BASE.since(*since) < Duration::from_secs(6)),
        unarbitrated,
        promise: maybe(promise).filter(|until| *until > BASE),
        asked: maybe(asked),
        own,
        unready: maybe(unready),
        peer: Peer { said, asked: at(peer_asked), heard: maybe(heard), idle: maybe(idle), ready: maybe(ready) },
        probes: Probes { failures, verdict, good: maybe(good) },
        observer: Observer { us, peer: observed, heard: maybe(observer_heard) },
        paths,
        handover: handover.map(|Handover { cause, since, accept_degraded }| Handover { cause, since: at(since), accept_degraded }),
        offered,
        // hold-off is not part of the model
        guard: Guard::default(),
        order,
        armed,
        dns: maybe(dns),
        obstacle,
    }
}

fn shift_event(event: &mut Event, now: Moment) {
    match event {
        Event::RoleRead { asked, .. } | Event::RoleWritten { asked, .. } | Event::Acknowledged { asked, .. } => {
            *asked = moment(*asked, now);
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
            | Flight::Answer { event: Event::RoleWritten { outcome: Outcome::Stored(record), .. }, .. } => Some(&mut record.version),
            _ => None,
        };
        if let Some(version) = version {
            visit(version);
        }
    }
}
