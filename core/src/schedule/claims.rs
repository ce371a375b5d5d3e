//! Whether a claim may start its request now.

use std::time::Duration;

use super::{Place, Schedule, below};
use crate::{api::Priority, ids::Uid};

/// So long after the first claim made way for an express ticket, the others wait for it no more.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request cannot start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// An operator paused the service, the tenant or everything.
    Paused,
    /// A High request of another tenant goes first.
    OutOfTurn,
    /// As many as allowed are under way.
    Full,
    /// As many as allowed have started lately.
    TooSoon,
    /// It neither waits nor is under way.
    Unknown,
}

// === impl NotNow ===

impl NotNow {
    /// The word for the claimant and for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::OutOfTurn => "out_of_turn",
            Self::Full => "full",
            Self::TooSoon => "too_soon",
            Self::Unknown => "unknown",
        }
    }
}

// === impl Schedule ===

impl Schedule {
    /// A worker claims a request: it is held from now on, if it may start. One that waits, whose old
    /// ticket turned up, starts out of its turn where the limits leave room for it.
    ///
    /// # Errors
    /// [`NotNow`] when it may not start; nothing has changed then. What was offered should be pushed
    /// again: a ticket that was claimed is spent.
    pub fn hold(&mut self, uid: &Uid, now: Duration) -> Result<(), NotNow> {
        let waiter = *self.requests.get(uid).ok_or(NotNow::Unknown)?;
        if waiter.place == Place::Held {
            return Ok(());
        }
        let queue = &self.queues[waiter.queue as usize];
        if self.is_paused(&queue.service, &queue.tenant) {
            return Err(NotNow::Paused);
        }
        self.make_way(uid, now)?;
        if !self.fits(uid) {
            return Err(NotNow::Full);
        }
        let offered = waiter.place.is_offered();
        let service = self.books(waiter.queue).service;
        let reserved = if offered { 0 } else { service.offered };
        if !service.bucket.has(reserved + 1, now) {
            return Err(NotNow::TooSoon);
        }
        service.bucket.take(now);
        self.advance(uid, Place::Held);
        Ok(())
    }

    /// While an express ticket is out, who is not as urgent waits; a request that was offered does so
    /// at most once, so that nobody is overtaken for ever.
    fn make_way(&mut self, uid: &Uid, now: Duration) -> Result<(), NotNow> {
        let waiter = self.requests[uid];
        let service = self.books(waiter.queue).service;
        let urgent = waiter.priority == Priority::High || waiter.yielded;
        if urgent || !service.makes_way(now) {
            return Ok(());
        }
        service.express.since.get_or_insert(now);
        let waiter = self.requests.get_mut(uid);
        waiter.expect("looked up above").yielded = true;
        Err(NotNow::OutOfTurn)
    }

    /// Whether the counts leave room for it. Express tickets may be out beyond the service's own
    /// limit, so there only what is held counts against a ticket; elsewhere it is counted already.
    fn fits(&mut self, uid: &Uid) -> bool {
        let (waiter, limit) = (self.requests[uid], self.limits.in_flight);
        let offered = waiter.place.is_offered();
        let books = self.books(waiter.queue);
        let (service, mine) = (books.service, u32::from(offered));
        let out = if offered { 0 } else { service.offered };
        let key = waiter.key.map_or(0, |key| service.keys.in_flight(key));
        below(service.held + out, service.flow.concurrency)
            && below(books.queue.in_flight - mine, service.flow.per_tenant)
            && below(books.tenant.in_flight - mine, limit)
            && (waiter.key.is_none() || below(key - mine, service.flow.per_key))
    }
}
