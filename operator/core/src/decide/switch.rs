//! Which site is active? One step of one site: what it knew, what it learns, what it does.
//!
//! ```text
//! step(settings, state, event, now) -> (state, actions)
//! ```
//!
//! Pure and total: no clock, no wire, no chance. The same function runs in production, in the model check
//! (`operator/core/tests/switch_model`) and in a replay of what was recorded.
//!
//! | To find | Open |
//! |---|---|
//! | when a standby takes over, and when not | [`standby`], the table on top |
//! | what a holder does; a restart; isolation; gateways, DNS | [`holder`] |
//! | who may believe to hold, promises, epochs | [`proof`] |
//! | switchover, failback, giving up | [`handover`] |
//! | without a witness, or when it is lost | [`alone`] |
//! | when a data plane is down; is it me? | [`vantage`] |
//! | how often | [`guard`] |
//! | the times, and what keeps them safe | [`time`] |
//! | whether a contract can be met | [`mod@budget`] |
//! | the words | [`explain`] |
//!
//! A step learns, then decides from all that is known: an event may come twice, late or never, and the next tick puts it right.
//!
//! Where this departs from the design (the model check shows why, `proof`, `handover` and `vantage` say more):
//!
//! 1. A version of ours that we only *saw* proves from the read before the one that showed it, not from that read.
//! 2. A record that names us counts as ours at once only if we tried for, or kept, just that epoch; else after a whole lease. It might be
//!    a late write of an earlier process, which has promised something since.
//! 3. The first role of all is made at once only when the peer itself says that it knows of none; a site that lost its memory might
//!    otherwise make a second one beside a holder whose Lease was deleted.
//! 4. A site is unreachable when two of three vantage points say so; one alone never is enough, observer or not.
//! 5. The holder raises its own epoch when it hears of a higher one (a peer that served without an arbiter).
//! 6. The role is not released while a shared write is on its way: rule 10 bounds it by the holder's own proof, but a release lets the
//!    next holder in before that proof would have ended.
//! 7. A release binds the site, as a promise does: another replica may have a proof of its own that outlives it. Only the replica that
//!    leads gives the role up and writes what is shared, or the last rule would need all of them.
//! 8. A promise is not kept over a restart: it need not be, since a restarted process holds nothing for a lease but what it held before
//!    it promised.

pub mod action;
pub mod alone;
pub mod budget;
pub mod event;
pub mod explain;
pub mod guard;
pub mod handover;
pub mod holder;
pub mod learn;
pub mod proof;
pub mod reason;
pub mod role;
pub mod settings;
pub mod standby;
pub mod state;
pub mod time;
pub mod vantage;
pub mod witness;

#[cfg(test)]
mod tests;

pub use action::Action;
pub use event::Event;
pub use settings::Settings;
pub use state::{Phase, State};
pub use time::Moment;

use reason::{Notice, Reason};

/// One step of one site. `now` never falls; `event` may be anything.
pub fn step(settings: &Settings, state: State, event: &Event, now: Moment) -> (State, Vec<Action>) {
    let kept = state.kept;
    let mut turn = Turn { settings, now, state, actions: Vec::new() };
    turn.learn(event);
    turn.stop_waiting();
    turn.decide();
    turn.lead_gateways();
    turn.look();
    turn.state.kept.switches = turn.state.guard.recent(now);
    let Turn { state, mut actions, .. } = turn;
    if state.kept != kept {
        actions.insert(0, Action::Persist(state.kept));
    }
    (state, actions)
}

/// A step in the making.
pub struct Turn<'a> {
    settings: &'a Settings,
    now: Moment,
    state: State,
    actions: Vec<Action>,
}

impl Turn<'_> {
    fn decide(&mut self) {
        self.offer_again();
        match self.state.phase {
            Phase::Init => self.start(),
            Phase::Promoting | Phase::Active | Phase::Handover => self.hold(),
            Phase::Isolated => self.isolated(),
            Phase::Standby | Phase::Arming | Phase::Acquiring | Phase::Draining | Phase::Recovering | Phase::Frozen => {
                self.stand_by();
            }
        }
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn tell(&mut self, notice: Notice) {
        self.act(Action::Tell(notice));
    }

    fn enter(&mut self, to: Phase, reason: Reason) {
        let from = self.state.phase;
        if from != to {
            self.state.phase = to;
            self.state.since = self.now;
            self.tell(Notice::Entered { from, to, reason });
        }
    }
}
