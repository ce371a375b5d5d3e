//! The agent's orders: settlements and room, handed over together.
//!
//! A ticket that is settled and the slot that becomes free with it have to be seen at once: either one
//! alone looks as if the consumers were wrong. Bounded by the tickets that are out, since each is
//! settled once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isc_core::worker_session::{Settlement, TicketNo};
use tokio::sync::Notify;

/// What the agent has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Free slots, once the agent had seen so many tickets.
    free: u32,
    /// Tickets that the agent has seen since the start.
    seen: u64,
}

/// One batch of orders.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) settlements: Vec<(TicketNo, Settlement)>,
    pub(crate) room: Room,
}

/// The agent's side. The effects of a step are collected and handed over by [`Till::close_batch`].
#[derive(Debug)]
pub(crate) struct Till {
    batch: Batch,
    shared: Arc<Shared>,
}

/// The broker's side.
#[derive(Debug)]
pub(crate) struct Orders {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    over: bool,
}

pub(super) fn pair() -> (Till, Orders) {
    let shared = Arc::new(Shared::default());
    let till = Till {
        batch: Batch::default(),
        shared: shared.clone(),
    };
    (till, Orders { shared })
}

// === impl Room ===

impl Room {
    /// What is really free when so many tickets were handed over: those on the way take a slot each.
    pub(crate) fn free(self, handed: TicketNo) -> u32 {
        let on_the_way = handed.0.saturating_sub(self.seen);
        self.free
            .saturating_sub(u32::try_from(on_the_way).unwrap_or(u32::MAX))
    }
}

// === impl Till ===

impl Till {
    pub(crate) fn settle(&mut self, ticket: TicketNo, how: Settlement) {
        self.batch.settlements.push((ticket, how));
    }

    pub(crate) fn open(&mut self, free: u32) {
        self.batch.room.free = free;
    }

    /// A ticket was taken in.
    pub(crate) fn seen(&mut self) {
        self.batch.room.seen += 1;
    }

    /// Hands over what has come together.
    pub(crate) fn close_batch(&mut self) {
        let mut state = self.shared.state();
        let room = self.batch.room;
        if self.batch.settlements.is_empty() && state.batch.room == room {
            return;
        }
        state.batch.room = room;
        state.batch.settlements.append(&mut self.batch.settlements);
        self.shared.news.notify_one();
    }
}

impl Drop for Till {
    fn drop(&mut self) {
        self.close_batch();
        self.shared.state().over = true;
        self.shared.news.notify_one();
    }
}

// === impl Orders ===

impl Orders {
    /// The next batch; `None` once the agent has ended and all was taken. Cancellation safe.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        self.shared.news.notified().await;
        let mut state = self.shared.state();
        if state.over && state.batch.settlements.is_empty() {
            // For whoever asks again.
            self.shared.news.notify_one();
            return None;
        }
        if state.over {
            self.shared.news.notify_one();
        }
        Some(Batch {
            settlements: std::mem::take(&mut state.batch.settlements),
            room: state.batch.room,
        })
    }

    /// Makes the next batch come at once, for a new connection that knows none.
    pub(crate) fn again(&self) {
        self.shared.news.notify_one();
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_settlement_and_the_slot_it_frees_come_together() {
        let (mut till, mut orders) = pair();
        till.open(1);
        till.close_batch();
        assert_eq!(orders.next().await.unwrap().room.free(TicketNo(0)), 1);
        till.settle(TicketNo(0), Settlement::Done);
        till.open(2);
        till.seen();
        till.close_batch();
        let batch = orders.next().await.unwrap();
        assert_eq!(batch.settlements, [(TicketNo(0), Settlement::Done)]);
        assert_eq!(batch.room.free(TicketNo(1)), 2);
        assert_eq!(batch.room.free(TicketNo(2)), 1, "one is on the way");
    }

    #[tokio::test]
    async fn what_the_agent_ordered_last_is_still_heard() {
        let (mut till, mut orders) = pair();
        till.settle(TicketNo(0), Settlement::Done);
        drop(till);
        assert_eq!(orders.next().await.unwrap().settlements.len(), 1);
        assert!(orders.next().await.is_none());
        assert!(orders.next().await.is_none());
    }
}
