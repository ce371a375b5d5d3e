//! The engine's side of the schedule: every live request has the place there that its state calls for.
//!
//! What a worker has, or had by its last status, is held: after a restart it counts towards the limits
//! before its worker has greeted. What waits for something else than its turn (a durable count, a pause,
//! an earlier request, the end of a take-over) is set aside and counts as waiting.

use std::time::Duration;

use super::{Engine, Request};
use crate::{
    ids::{AttemptId, Now, Uid},
    life::{LifeEvent, State},
    reason::Reason,
    schedule::NotNow,
};

/// How long a request whose ticket was spent in vain waits before it is offered again.
const OFFER_AGAIN: Duration = Duration::from_secs(1);

// === impl Engine ===

impl Engine {
    /// After a change of its state. One that waits for its turn is brought to its line by an act.
    pub(super) fn keep_place(&mut self, uid: &Uid) {
        let Some(request) = self.live(uid) else {
            return;
        };
        let held = match &request.life.state {
            State::Reserved { .. } | State::Running { .. } | State::Stopping { .. } => true,
            State::Recovering => request.life.worker.is_some(),
            State::Saving { .. } | State::Backoff { .. } | State::Behind { .. } => false,
            State::Waiting | State::Offered { .. } => return,
            State::Done(_) => return self.schedule.remove(uid),
        };
        if !held {
            return self.set_aside(uid);
        }
        if !self.schedule.is_held(uid) {
            let ask = request.ask();
            self.schedule.occupy(uid, &ask);
        }
    }

    /// Its turn will come.
    pub(super) fn enqueue(&mut self, uid: &Uid) {
        if let Some(ask) = self.live(uid).map(Request::ask) {
            self.schedule.push(uid, &ask);
        }
    }

    pub(super) fn enqueue_later(&mut self, uid: &Uid, now: Now) {
        self.set_aside(uid);
        self.delayed.insert((now.mono + OFFER_AGAIN, uid.clone()));
    }

    pub(super) fn set_aside(&mut self, uid: &Uid) {
        if let Some(ask) = self.live(uid).map(Request::ask) {
            self.schedule.set_aside(uid, &ask);
        }
    }

    /// What it waited for besides its turn is over, unless that is so already.
    pub(super) fn line_up(&mut self, uid: &Uid) {
        let waits = |request: &Request| request.life.state == State::Waiting;
        if self.live(uid).is_some_and(waits) && !self.schedule.is_in_line(uid) {
            self.enqueue(uid);
        }
    }

    /// Offers what may be offered, as long as few tickets are out: a ticket that is out cannot be
    /// overtaken in the broker.
    pub(super) fn publish_tickets(&mut self, now: Now) {
        for service in self.schedule.services() {
            // Without a worker nobody would take a ticket out, however long ago its request ended.
            if !self.config.catalogue.contains_key(&service) || !self.sessions.any_for(&service) {
                continue;
            }
            let window = self.config.window.max(self.sessions.slots_for(&service));
            let window = u32::try_from(window).unwrap_or(u32::MAX);
            // Who may overtake needs no room in the window; so many is enough of them.
            while self.schedule.offered(&service) < window.saturating_mul(2)
                && let Some(uid) = self.schedule.express(&service, now.mono)
            {
                self.offer(&uid, now);
            }
            while self.schedule.offered(&service) < window
                && let Some(uid) = self.schedule.pop(&service, now.mono)
            {
                self.offer(&uid, now);
            }
        }
    }

    fn offer(&mut self, uid: &Uid, now: Now) {
        let Some(request) = self.live(uid) else {
            return self.schedule.remove(uid);
        };
        if self.may_exceed(request, now) {
            self.set_aside(uid);
            self.delayed.insert((self.takeover_until, uid.clone()));
            return;
        }
        let source = request.address.source();
        match self.sources.get_mut(&source).filter(|lists| lists.suspect) {
            Some(lists) => {
                lists.parked.push(uid.clone());
                self.set_aside(uid);
            }
            None => self.apply(uid, LifeEvent::Offer, now),
        }
    }

    /// Whether how many such requests run at once is limited, and not known: what an earlier watcher granted
    /// counts as well, and may be told only by its worker's greeting.
    fn may_exceed(&self, request: &Request, now: Now) -> bool {
        if self.leader.handed_over || now.mono >= self.takeover_until {
            return false;
        }
        let service = self.config.catalogue.get(&request.service);
        let limited = service.is_some_and(|service| {
            service.flow.concurrency.is_some() || service.flow.per_tenant.is_some()
        });
        limited || request.flow_key.is_some()
    }

    /// Asks the schedule about a claim that the request's state allows: granted, it is held.
    pub(super) fn may_start(&mut self, attempt: &AttemptId, now: Now) -> Result<(), NotNow> {
        let able = |request: &Request| {
            let waits = matches!(request.life.state, State::Waiting | State::Offered { .. });
            waits && request.life.attempt() == attempt.attempt
        };
        if self.live(&attempt.uid).is_some_and(able) {
            return self.schedule.hold(&attempt.uid, now.mono);
        }
        Ok(())
    }

    /// Why a request waits, when not for its turn.
    pub(super) fn waiting_for(&self, request: &Request) -> Option<Reason> {
        let (service, tenant) = (&request.service, &request.address.cluster);
        if request.pending.is_some() || !self.config.catalogue.contains_key(service) {
            Some(Reason::ServiceMissing)
        } else if self.schedule.is_paused(service, tenant) {
            Some(Reason::Paused)
        } else if !self.sessions.any_for(service) {
            Some(Reason::NoWorkers)
        } else {
            None
        }
    }
}
