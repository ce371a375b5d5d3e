//! Who waits for a busy concurrency key.
//!
//! While a key is busy its requests leave their lines: a new one goes to the key at once, one that is
//! in line goes when it gets to the head. When the key may take one more, the first that waits for it
//! in each line comes back to its old place there, and the next one when that one has left. So a line
//! is never longer than what may start of it and each request is moved a few times at most, however
//! many wait.

use super::{Place, Schedule, below, places::Waiter, queue::PRIORITIES};
use crate::api::Priority;

// === impl Schedule ===

impl Schedule {
    /// Whether its key allows one more.
    pub(super) fn key_is_free(&self, waiter: &Waiter) -> bool {
        let Some(key) = waiter.key else { return true };
        let service = &self.services[&self.queues[waiter.queue as usize].service];
        below(service.keys.in_flight(key), service.flow.per_key)
    }

    /// A key may have become free: the first of each line that waits for it comes back.
    pub(super) fn free_key(&mut self, no: u32, key: u32) {
        let service = self.books(no).service;
        if !below(service.keys.in_flight(key), service.flow.per_key) {
            return;
        }
        for (no, priority) in service.keys.spots(key) {
            self.unpark(no, key, priority);
            self.refresh(no);
        }
    }

    pub(super) fn unpark(&mut self, no: u32, key: u32, priority: Priority) {
        let books = self.books(no);
        if let Some((seq, uid)) = books.service.keys.unpark(key, (no, priority)) {
            books.queue.line(priority).insert(seq, uid.clone());
            let waiter = self.requests.get_mut(&uid);
            waiter.expect("who is parked is known").place = Place::InLine;
        }
    }

    /// Heads of lines whose key is busy go and wait for it elsewhere.
    pub(super) fn park_heads(&mut self, no: u32) {
        for priority in PRIORITIES {
            while let Some((seq, uid)) = self.queues[no as usize].head(priority) {
                let (uid, waiter) = (uid.clone(), self.requests[uid]);
                let Some(key) = waiter.key.filter(|_| !self.key_is_free(&waiter)) else {
                    break;
                };
                let books = self.books(no);
                books.queue.line(priority).remove(&seq);
                let waiter = self.requests.get_mut(&uid);
                waiter.expect("who is in line is known").place = Place::Parked;
                let books = self.books(no);
                books.service.keys.park(key, (no, priority), seq, uid);
            }
        }
    }
}
