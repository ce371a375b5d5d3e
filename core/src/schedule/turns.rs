//! Whose turn it is.
//!
//! A tenant gets its turn at the end of the round when it begins to have something in line, and again
//! each time one of its requests is popped. While its own limits, its keys or a pause keep it back it
//! keeps its turn and is in nobody's way, for only queues that could give something are listed.
//!
//! **Express.** Tickets that are out wait for a worker in the order in which they went out, so a new
//! High request would wait behind all of them. Where it is its tenant's next one, and its tenant has
//! nothing under way of that service, it is offered at once, whatever the window says and although
//! other offers use up the service's concurrency or rate: only what is *held*, and other express
//! tickets, count against it. The claims on earlier tickets then make way for it (see
//! [`Schedule::hold`]) and nothing else is popped before it was claimed, so it starts next. The limits
//! of its tenant and of its key hold as ever. No tenant suffers from that: whoever was ready at some
//! time is overtaken at most [`EXPRESS_MAX`] times before its next turn, and a request makes way once.

use std::time::Duration;

use super::{Place, Schedule, Service, below, claims::PATIENCE};
use crate::{api::Priority, ids::Uid};

/// So many requests may overtake others before each of those had a turn.
pub(super) const EXPRESS_MAX: u32 = 8;

// === impl Schedule ===

impl Schedule {
    /// Takes the next request of a service, if one may be offered now.
    pub fn pop(&mut self, service: &str, now: Duration) -> Option<Uid> {
        if self.is_service_paused(service) || !self.services.get(service)?.may_offer(now) {
            return None;
        }
        loop {
            let (_, no) = *self.services.get(service)?.ready.first()?;
            self.park_heads(no);
            if let Some(priority) = self.queues[no as usize].next() {
                return self.depart(no, priority, Place::Offered);
            }
            self.refresh(no);
        }
    }

    /// Takes the next High request that overtakes the tickets that are out, if there is one. To be
    /// asked before [`Self::pop`], at most as often as tickets may be out beyond the usual ones.
    pub fn express(&mut self, service: &str, now: Duration) -> Option<Uid> {
        if self.is_service_paused(service) {
            return None;
        }
        loop {
            let lane = self.services.get_mut(service)?;
            let (_, no) = *lane.eager.first()?;
            if !lane.may_overtake(now) {
                return None;
            }
            self.park_heads(no);
            if self.queues[no as usize].next() == Some(Priority::High) {
                self.books(no).service.express.spent += 1;
                return self.depart(no, Priority::High, Place::Express);
            }
            self.refresh(no);
        }
    }

    fn depart(&mut self, no: u32, priority: Priority, place: Place) -> Option<Uid> {
        let books = self.books(no);
        let (_, uid) = books.queue.head(priority)?;
        let uid = uid.clone();
        books.queue.spend(priority);
        books.service.last += 1;
        books.queue.turn = books.service.last;
        self.advance(&uid, place);
        Some(uid)
    }

    /// Its tenant is next, since its turn was used up for nothing.
    pub(super) fn turn_first(&mut self, uid: &Uid) {
        let no = self.requests[uid].queue;
        let books = self.books(no);
        books.service.first -= 1;
        books.queue.turn = books.service.first;
        self.refresh(no);
    }

    /// When time alone allows something that is not allowed now.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        let running = self
            .services
            .iter()
            .filter(|(name, service)| !service.ready.is_empty() && !self.is_service_paused(name));
        let times = running.flat_map(|(_, service)| service.times());
        times.filter(|at| *at > now).min()
    }
}

// === impl Service ===

impl Service {
    /// Whether one more may be offered, as far as the service itself goes.
    pub(super) fn may_offer(&self, now: Duration) -> bool {
        below(self.offered + self.held, self.flow.concurrency)
            && self.bucket.has(self.offered + 1, now)
            && !self.makes_way(now)
    }

    fn may_overtake(&mut self, now: Duration) -> bool {
        let given_up = self.express.out > 0 && !self.makes_way(now);
        let oldest = self.ready.first().map_or(i64::MAX, |(turn, _)| *turn);
        if oldest > self.express.mark {
            (self.express.mark, self.express.spent) = (self.last, 0);
        }
        below(self.held + self.express.out, self.flow.concurrency)
            && self.bucket.has(self.express.out + 1, now)
            && self.express.spent < EXPRESS_MAX
            && !given_up
    }

    /// Whether all others wait until the express tickets are claimed. Not for ever: a ticket that is
    /// not claimed although workers ask for work is lost, and is published again some time.
    pub(super) fn makes_way(&self, now: Duration) -> bool {
        let over = |since: Duration| since + PATIENCE <= now;
        self.express.out > 0 && !self.express.since.is_some_and(over)
    }

    /// An express ticket is out no more.
    pub(super) fn express_back(&mut self) {
        self.offered -= 1;
        self.express.out -= 1;
        if self.express.out == 0 {
            self.express.since = None;
        }
    }

    fn times(&self) -> impl Iterator<Item = Duration> + use<> {
        let patience = self.express.since.map(|since| since + PATIENCE);
        let turn = self.bucket.at(self.offered + 1);
        let eager = (!self.eager.is_empty()).then(|| self.bucket.at(self.express.out + 1));
        [patience, turn, eager.flatten()].into_iter().flatten()
    }
}
