//! The broker: one queue that loses, repeats, delays, returns and dead-letters.

use super::{
    super::*,
    action::{Action, Input, Process},
    tale,
    world::World,
};
use crate::worker_session as ws;

// === impl World ===

impl World {
    pub(super) fn publish(&mut self, by: Process, id: AttemptId) {
        self.tale.about(self.now, || {
            let text = format!("{} offers {id}", tale::watcher(by));
            (Some(id.uid.clone()), text)
        });
        if !self.bad_luck(self.plan.bad_tickets) {
            return self.later(1, 50, Action::Ticket(id));
        }
        let back = |event| Action::Watcher(by, Input::Event(Box::new(event)));
        match self.dice.below(5) {
            0 => {}
            1 => self.later(5, 500, back(Event::Unplaced(id))),
            2 => self.later(5, 60_000, back(Event::DeadLettered(id))),
            3 => self.later(5, 40_000, Action::Ticket(id)),
            _ => {
                self.later(5, 500, Action::Ticket(id.clone()));
                self.later(5, 9000, Action::Ticket(id));
            }
        }
    }

    pub(super) fn ticket(&mut self, id: AttemptId) {
        self.queue.push_back(id);
        self.dispatch();
    }

    /// Gives tickets to workers that take some.
    pub(super) fn dispatch(&mut self) {
        while !self.queue.is_empty() {
            let takes = |slot: &usize| {
                let worker = &self.workers[*slot];
                worker.up && worker.intake > 0 && worker.frozen_until <= self.now
            };
            let able: Vec<usize> = (0..self.workers.len()).filter(takes).collect();
            if able.is_empty() {
                return;
            }
            let slot = able[self.dice.below(able.len())];
            let id = self.queue.pop_front().expect("checked above");
            self.tickets += 1;
            let ticket = ws::TicketNo(self.tickets);
            self.workers[slot].tickets.insert(ticket, id.clone());
            let service = "sign".to_owned();
            let event = ws::Event::Ticket {
                ticket,
                id,
                service,
            };
            self.worker_step(self.worker_process(slot), event);
        }
    }

    /// Everything in it is lost.
    pub(super) fn lose_broker(&mut self) {
        self.queue.clear();
        for slot in 0..self.workers.len() {
            let process = self.worker_process(slot);
            self.workers[slot].tickets.clear();
            let order = super::action::Order::Session(ws::Event::BrokerLost);
            self.at(self.now, Action::Worker(process, order));
        }
        for slot in 0..self.watchers.len() {
            let event = Input::Event(Box::new(Event::BrokerUp));
            let process = self.watcher_process(slot);
            self.later(100, 5000, Action::Watcher(process, event));
        }
    }
}
