//! What makes this watcher the one that decides: its own lease, what it takes over from the one before,
//! what it hands over to the next.

use std::time::Duration;

use super::{Effect, Engine, Entry, Observation};
use crate::{
    ids::{Now, Source},
    life::{LifeEvent, State},
    rules::Rule,
};

/// What is known of leading.
#[derive(Debug)]
pub(super) struct Leader {
    /// What was created later is new for certain: the start of this watcher by its own clock, or the
    /// newest that its first lists had, where the API's clock is ahead of it.
    started: jiff::Timestamp,
    /// The watcher before this one wrote everything that it had granted.
    pub(super) handed_over: bool,
    /// The end of the leader's lease; none without an election.
    pub(super) until: Option<Duration>,
    stepped_down: bool,
}

// === impl Leader ===

impl Leader {
    pub(super) fn new(now: Now) -> Self {
        Self {
            started: now.wall,
            handed_over: false,
            until: None,
            stepped_down: false,
        }
    }

    /// A first list has it.
    pub(super) fn found_at_start(&mut self, found: &Observation) {
        self.started = self.started.max(found.created.unwrap_or(self.started));
    }

    /// Whether it may have been there when the watcher before this one was. Times of objects have no
    /// fraction; within a single second no workspace is granted from, unbound and bound again, so one
    /// of the same second is new.
    pub(super) fn may_have_missed(&self, found: &Observation) -> bool {
        let older = |created: jiff::Timestamp| created.as_second() < self.started.as_second();
        found.created.is_some_and(older)
    }
}

// === impl Engine ===

impl Engine {
    /// Until when this watcher is the leader, counted from when it *sent* its last renewal; `None`
    /// where there is no election. Past it every event is left alone.
    ///
    /// A lead that was over is never extended, even when this process wins the next one: another watcher
    /// may have led meanwhile. Its process has to end, and a new one to start from the first list.
    pub fn lead_until(&mut self, until: Option<Duration>) {
        self.leader.until = until;
    }

    /// The leader's lease is over: nothing is granted, acknowledged, counted or written any more.
    pub(super) fn is_deposed(&mut self, now: Now) -> bool {
        let over = self.lease_at().is_some_and(|until| until <= now.mono);
        if over && !std::mem::replace(&mut self.leader.stepped_down, true) {
            self.effects.push(Effect::StepDown);
        }
        self.leader.stepped_down
    }

    /// When the leader's lease ends.
    pub(super) fn lease_at(&self) -> Option<Duration> {
        let checked = self.rules.hold(Rule::LeadIsChecked)
            && self.rules.hold(Rule::LeadIsCheckedBeforeGrants)
            && self.rules.hold(Rule::LeadIsCheckedBeforeAcks)
            && self.rules.hold(Rule::LeadIsCheckedBeforeWrites);
        self.leader.until.filter(|_| checked)
    }

    pub(super) fn has_stepped_down(&self) -> bool {
        self.leader.stepped_down
    }

    /// The first list of a source after a clean hand-over: what its status gives to no worker is
    /// held by none.
    pub(super) fn take_over(&mut self, source: &Source, now: Now) {
        let mut free = self.uids(|entry| match entry {
            Entry::Live(request) => {
                let life = &request.life;
                let held = life.state != State::Recovering || !request.was_told(true);
                !held && entry.is_at(source)
            }
            Entry::Finished(_) => false,
        });
        free.sort_by_key(|uid| self.live(uid).map(|request| request.life.queued.wall));
        free.retain(|uid| !self.keyed.is_open(uid));
        self.keyed.unsettled = true;
        for uid in free {
            self.apply(&uid, LifeEvent::TakeoverEnded, now);
        }
    }

    /// Grants nothing any more, and writes what the next watcher must know. What only waits it finds
    /// anyway: with a long line those writes would take longer than the end may.
    pub(super) fn drain(&mut self, now: Now) {
        self.draining = true;
        let idle = |entry: &Entry| match entry {
            Entry::Live(request) => !request.life.must_be_told(),
            Entry::Finished(_) => false,
        };
        for uid in self.uids(idle) {
            self.writes.forget(&uid);
        }
        self.writes.hurry(now.mono);
    }

    /// Whether the next watcher may believe the statuses: everything granted and counted is written,
    /// and no worker runs anything else. Only then a mark may be left that says so.
    #[must_use]
    pub fn hands_over(&self, now: Duration) -> bool {
        // What another instance left may run with its workers: their word is waited for in any case.
        let awaited = |entry: &Entry| match entry {
            Entry::Live(request) => request.adopted && request.life.state == State::Recovering,
            Entry::Finished(_) => false,
        };
        let told = self.leader.handed_over && !self.entries.values().any(awaited);
        let knows_all = told || now >= self.takeover_until;
        let stopping = |entry: &Entry| match entry {
            Entry::Live(request) => matches!(request.life.state, State::Stopping { .. }),
            Entry::Finished(_) => false,
        };
        self.draining
            && self.is_clean()
            && knows_all
            && !self.leader.stepped_down
            && !self.sessions.any_unknown_run()
            && !self.entries.values().any(stopping)
    }
}
