//! The books: where each request is, and the counts that follow from it.

use super::{Ask, Queue, Schedule, Service, Tenant, below, number};
use crate::{api::Priority, ids::Uid};

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It waits for something else than its turn.
    Aside,
    /// In its line.
    InLine,
    /// It waits for its key.
    Parked,
    /// Its ticket is out.
    Offered,
    /// Its ticket is out and overtakes those of others.
    Express,
    /// A worker has it.
    Held,
}

/// What is kept of a request: with 50,000 of them every byte counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    /// Its place in its line, given once; 0 is none yet.
    pub(super) seq: u64,
    pub(super) queue: u32,
    pub(super) key: Option<u32>,
    bytes: u32,
    pub(super) priority: Priority,
    pub(super) place: Place,
    /// Its claim had to make way once; it has to no more.
    pub(super) yielded: bool,
}

/// What one request is booked in.
pub(super) struct Books<'a> {
    pub(super) service: &'a mut Service,
    pub(super) tenant: &'a mut Tenant,
    pub(super) queue: &'a mut Queue,
}

// === impl Place ===

impl Place {
    pub(super) fn is_offered(self) -> bool {
        matches!(self, Self::Offered | Self::Express)
    }

    fn is_waiting(self) -> bool {
        matches!(self, Self::Aside | Self::InLine | Self::Parked)
    }
}

// === impl Schedule ===

impl Schedule {
    /// Brings a request to a place, new or not.
    pub(super) fn put(&mut self, uid: &Uid, ask: &Ask, place: Place) {
        let was = self.take(uid);
        let mut seq = was.map_or(0, |was| was.seq);
        if seq == 0 && place != Place::Aside {
            self.last += 1;
            seq = self.last;
        }
        let no = self.queue_of(ask);
        let books = self.books(no);
        let key = ask.key.as_ref().map(|key| books.service.keys.join(key));
        books.queue.members += 1;
        let waiter = Waiter {
            seq,
            queue: no,
            key,
            bytes: ask.bytes,
            priority: ask.priority,
            place,
            yielded: false,
        };
        self.settle(uid, waiter);
        self.refresh_tenant(no);
        if let Some(was) = was.filter(|was| was.queue != no) {
            self.sweep(was.queue);
        }
    }

    /// Takes a request out of the books. Its queue may be left empty: see [`Self::sweep`].
    pub(super) fn take(&mut self, uid: &Uid) -> Option<Waiter> {
        let waiter = self.requests.remove(uid)?;
        self.leave(waiter);
        let books = self.books(waiter.queue);
        books.queue.members -= 1;
        if let Some(key) = waiter.key {
            books.service.keys.part(key);
        }
        self.refresh_tenant(waiter.queue);
        Some(waiter)
    }

    /// Moves a known request to the place of a ticket or a worker.
    pub(super) fn advance(&mut self, uid: &Uid, place: Place) {
        let waiter = self.requests[uid];
        // Counted twice for a moment, so that its key never looks free.
        self.settle(uid, Waiter { place, ..waiter });
        self.leave(waiter);
        self.refresh_tenant(waiter.queue);
    }

    fn settle(&mut self, uid: &Uid, mut waiter: Waiter) {
        if waiter.place == Place::InLine && !self.key_is_free(&waiter) {
            waiter.place = Place::Parked;
        }
        let mut books = self.books(waiter.queue);
        if waiter.place.is_waiting() {
            books.service.waiting += 1;
            books.tenant.waiting += 1;
            books.tenant.bytes += u64::from(waiter.bytes);
        } else {
            books.tenant.in_flight += 1;
            books.queue.in_flight += 1;
            if let Some(key) = waiter.key {
                books.service.keys.start(key);
            }
        }
        match waiter.place {
            Place::Aside => {}
            Place::InLine | Place::Parked => books.line_up(uid, &waiter),
            Place::Offered => books.service.offered += 1,
            Place::Express => {
                books.service.offered += 1;
                books.service.express.out += 1;
            }
            Place::Held => books.service.held += 1,
        }
        self.requests.insert(uid.clone(), waiter);
    }

    fn leave(&mut self, waiter: Waiter) {
        let (no, spot) = (waiter.queue, (waiter.queue, waiter.priority));
        let books = self.books(no);
        if waiter.place.is_waiting() {
            books.service.waiting -= 1;
            books.tenant.waiting -= 1;
            books.tenant.bytes -= u64::from(waiter.bytes);
        } else {
            books.tenant.in_flight -= 1;
            books.queue.in_flight -= 1;
        }
        match (waiter.place, waiter.key) {
            (Place::InLine, key) => {
                books.queue.lined -= 1;
                books.queue.line(waiter.priority).remove(&waiter.seq);
                if let Some(key) = key.filter(|_| self.key_is_free(&waiter)) {
                    self.unpark(no, key, waiter.priority);
                }
                return;
            }
            (Place::Parked, Some(key)) => {
                books.queue.lined -= 1;
                books.service.keys.forget(key, spot, waiter.seq);
                return;
            }
            (Place::Aside | Place::Parked, _) => return,
            (Place::Offered, _) => books.service.offered -= 1,
            (Place::Express, _) => books.service.express_back(),
            (Place::Held, _) => books.service.held -= 1,
        }
        if let Some(key) = waiter.key {
            books.service.keys.end(key);
            self.free_key(no, key);
        }
    }

    /// Lists a queue as ready, or not any more.
    pub(super) fn refresh(&mut self, no: u32) {
        let limit = self.limits.in_flight;
        let paused = self
            .pause
            .tenants
            .contains(&self.queues[no as usize].tenant);
        let Books {
            service,
            tenant,
            queue,
        } = self.books(no);
        if let Some(turn) = queue.listed.take() {
            service.ready.remove(&(turn, no));
            service.eager.remove(&(turn, no));
        }
        let allowed =
            below(queue.in_flight, service.flow.per_tenant) && below(tenant.in_flight, limit);
        let next = queue.next().filter(|_| allowed && !paused);
        if let Some(next) = next {
            queue.listed = Some(queue.turn);
            service.ready.insert((queue.turn, no));
            if next == Priority::High && queue.in_flight == 0 {
                service.eager.insert((queue.turn, no));
            }
        }
    }

    /// Where a limit goes over all services, so does a change.
    pub(super) fn refresh_tenant(&mut self, no: u32) {
        if self.limits.in_flight.is_none() {
            return self.refresh(no);
        }
        for queue in self.books(no).tenant.queues.clone() {
            self.refresh(queue);
        }
    }

    /// Drops what is empty.
    pub(super) fn sweep(&mut self, no: u32) {
        if self.queues[no as usize].members > 0 {
            return;
        }
        let queue = self.queues.remove(no as usize);
        if let Some(service) = self.services.get_mut(&queue.service) {
            service.queues.remove(&queue.tenant);
            if service.queues.is_empty() && !service.named {
                self.services.remove(&queue.service);
            }
        }
        if let Some(tenant) = self.tenants.get_mut(&queue.tenant) {
            tenant.queues.remove(&no);
            if tenant.queues.is_empty() {
                self.tenants.remove(&queue.tenant);
            }
        }
    }

    fn queue_of(&mut self, ask: &Ask) -> u32 {
        let service = self.services.entry(ask.service.clone()).or_default();
        if let Some(no) = service.queues.get(&ask.tenant) {
            return *no;
        }
        let queue = Queue::new(ask.service.clone(), ask.tenant.clone());
        let no = number(self.queues.insert(queue));
        service.queues.insert(ask.tenant.clone(), no);
        let tenant = self.tenants.entry(ask.tenant.clone()).or_default();
        tenant.queues.insert(no);
        no
    }

    pub(super) fn books(&mut self, no: u32) -> Books<'_> {
        let queue = &mut self.queues[no as usize];
        let service = self.services.get_mut(&queue.service);
        let tenant = self.tenants.get_mut(&queue.tenant);
        Books {
            service: service.expect("a queue's service is known"),
            tenant: tenant.expect("a queue's tenant is known"),
            queue,
        }
    }
}

// === impl Books ===

impl Books<'_> {
    fn line_up(&mut self, uid: &Uid, waiter: &Waiter) {
        if self.queue.lined == 0 {
            self.service.last += 1;
            self.queue.turn = self.service.last;
        }
        self.queue.lined += 1;
        let (seq, uid) = (waiter.seq, uid.clone());
        if let (Place::Parked, Some(key)) = (waiter.place, waiter.key) {
            let spot = (waiter.queue, waiter.priority);
            self.service.keys.park(key, spot, seq, uid);
        } else {
            self.queue.line(waiter.priority).insert(seq, uid);
        }
    }
}
