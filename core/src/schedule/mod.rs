//! Which waiting request goes next, and what may be under way at all.
//!
//! Per service a round over the tenants, one turn each; within a tenant three lines, High, Normal and
//! Low, that share its turns 12 : 4 : 1. A request is under way from the moment it is popped until it
//! is removed or pushed again: first *offered*, then, once a worker's claim was allowed, *held*. Both
//! count towards the limits of the service, the tenant and the concurrency key. A rate is different:
//! its tokens are reserved by what is offered and taken by what starts, so it holds for starts, however
//! long a ticket waits for a worker.
//!
//! `places` keeps the books, `parking` those of who waits for a key; `turns` decides who is next, `claims` whether a claim may start now;
//! `limits` takes in what an operator changes. Nothing here waits or looks at a clock.

mod bucket;
mod claims;
mod counts;
mod keys;
mod limits;
mod parking;
mod places;
mod queue;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use slab::Slab;

use crate::{
    api::Priority,
    flow::{Flow, Pause, Tenants},
    ids::Uid,
};
use bucket::Bucket;
pub use claims::NotNow;
pub use counts::Counts;
use keys::Keys;
use places::{Place, Waiter};
use queue::Queue;

/// What a request asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which service.
    pub service: Arc<str>,
    /// For whom.
    pub tenant: Arc<str>,
    /// Which of the tenant's lines.
    pub priority: Priority,
    /// What of the service it needs for itself.
    pub key: Option<Arc<str>>,
    /// What it takes while it waits.
    pub bytes: u32,
}

/// All requests that wait or are under way.
#[derive(Debug, Default)]
pub struct Schedule {
    requests: HashMap<Uid, Waiter>,
    services: BTreeMap<Arc<str>, Service>,
    tenants: HashMap<Arc<str>, Tenant>,
    queues: Slab<Queue>,
    limits: Tenants,
    pause: Pause,
    /// The newest place in a line.
    last: u64,
}

/// What is kept of a service.
#[derive(Debug, Default)]
struct Service {
    flow: Flow,
    /// An operator named it, so it stays when it is empty.
    named: bool,
    bucket: Bucket,
    keys: Keys,
    /// By tenant.
    queues: HashMap<Arc<str>, u32>,
    /// The queues that have something in line and are below their tenant's limits, by turn.
    ready: BTreeSet<(i64, u32)>,
    /// Of these, those of a tenant without anything under way whose next request is High.
    eager: BTreeSet<(i64, u32)>,
    /// The newest turns at the end of the round and at its front.
    last: i64,
    first: i64,
    express: Express,
    waiting: u32,
    offered: u32,
    held: u32,
}

/// Requests that overtake the tickets of others.
#[derive(Debug, Default)]
struct Express {
    /// Of the offered ones.
    out: u32,
    /// When the first claim had to make way for those that are out now.
    since: Option<Duration>,
    /// Who has an older turn was overtaken already, so many times.
    mark: i64,
    spent: u32,
}

/// What is kept of a tenant.
#[derive(Debug, Default)]
struct Tenant {
    queues: BTreeSet<u32>,
    waiting: u32,
    bytes: u64,
    in_flight: u32,
}

// === impl Schedule ===

impl Schedule {
    /// Puts a request in line: a new one at the end, one that was in line before at its old place, ahead
    /// of all that came later. One that is only offered used up its tenant's turn for nothing, so that
    /// is given back.
    pub fn push(&mut self, uid: &Uid, ask: &Ask) {
        let known = self.requests.get(uid).copied();
        self.put(uid, ask, Place::InLine);
        let Some(known) = known else { return };
        let waiter = self.requests.get_mut(uid).expect("it was put there");
        waiter.yielded = known.yielded;
        if known.place.is_offered() {
            self.turn_first(uid);
        }
    }

    /// Keeps a request that waits for something else than its turn: it counts as waiting.
    pub fn set_aside(&mut self, uid: &Uid, ask: &Ask) {
        self.put(uid, ask, Place::Aside);
    }

    /// A worker has that request, whatever the limits say: one that an earlier watcher started.
    pub fn occupy(&mut self, uid: &Uid, ask: &Ask) {
        self.put(uid, ask, Place::Held);
    }

    /// The request neither waits nor is under way any more.
    pub fn remove(&mut self, uid: &Uid) {
        if let Some(waiter) = self.take(uid) {
            self.sweep(waiter.queue);
        }
    }

    /// Whether one more request of that size may wait.
    #[must_use]
    pub fn may_wait(&self, tenant: &str, bytes: u32) -> bool {
        let (waiting, taken) = self
            .tenants
            .get(tenant)
            .map_or((0, 0), |tenant| (tenant.waiting, tenant.bytes));
        waiting < self.limits.waiting && taken + u64::from(bytes) <= self.limits.waiting_bytes
    }

    /// Whether a request is in its line, so that its turn will come.
    #[must_use]
    pub fn is_in_line(&self, uid: &Uid) -> bool {
        let place = self.requests.get(uid).map(|waiter| waiter.place);
        matches!(place, Some(Place::InLine | Place::Parked))
    }

    /// Whether a worker has it.
    #[must_use]
    pub fn is_held(&self, uid: &Uid) -> bool {
        let place = self.requests.get(uid).map(|waiter| waiter.place);
        place == Some(Place::Held)
    }

    /// The services that may have something to pop.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<str>> {
        let ready = self.services.iter().filter(|(_, s)| !s.ready.is_empty());
        ready.map(|(name, _)| name.clone()).collect()
    }

    /// Tickets of a service that are out.
    #[must_use]
    pub fn offered(&self, service: &str) -> u32 {
        self.services
            .get(service)
            .map_or(0, |service| service.offered)
    }
}

/// Whether one more is allowed.
fn below(count: u32, limit: Option<u32>) -> bool {
    limit.is_none_or(|limit| count < limit)
}

/// Slabs count in `usize`, of which a request would have to keep too much.
fn number(key: usize) -> u32 {
    u32::try_from(key).expect("there are fewer than 2^32 requests")
}
