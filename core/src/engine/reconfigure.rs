//! What an operator changes while the engine runs: services, limits, pauses.

use std::time::Duration;

use super::{Engine, Entry, Reconfigure};
use crate::{
    ids::{Now, Uid},
    life::{LifeEvent, State},
    reason::Reason,
    writes::Urgency,
};

// === impl Engine ===

impl Engine {
    /// The schedule keeps what the configuration says.
    pub(super) fn configure(&mut self, now: Duration) {
        let services = self.config.catalogue.iter();
        let flows = services.map(|(name, service)| (name.clone(), service.flow.clone()));
        let (tenants, pause) = (self.config.tenants, self.config.pause.clone());
        self.schedule.configure(flows, tenants, pause, now);
    }

    /// What runs goes on. Tickets of what is paused now are withdrawn, and everyone who waits for
    /// another reason than before is told.
    pub(super) fn reconfigured(&mut self, new: Reconfigure, now: Now) {
        let before: Vec<(Uid, Option<Reason>)> = self
            .uids(|entry| matches!(entry, Entry::Live(request) if request.waits()))
            .into_iter()
            .map(|uid| (uid.clone(), self.why_it_waits(&uid)))
            .collect();
        self.config.catalogue = new.catalogue;
        (self.config.tenants, self.config.pause) = (new.tenants, new.pause);
        self.configure(now.mono);
        self.withdraw_paused(now);
        for (uid, was) in before {
            if self.why_it_waits(&uid) != was {
                self.dirty(&uid, Urgency::Live, now);
            }
        }
    }

    fn why_it_waits(&self, uid: &Uid) -> Option<Reason> {
        self.waiting_for(self.live(uid)?)
    }

    fn withdraw_paused(&mut self, now: Now) {
        let paused = |uid: &Uid| {
            self.live(uid)
                .is_some_and(|r| self.schedule.is_paused(&r.service, &r.address.cluster))
        };
        // The oldest last, so that its tenant is first again.
        let offered = self.offered.iter().rev().map(|(_, uid)| uid);
        let withdrawn: Vec<Uid> = offered.filter(|uid| paused(uid)).cloned().collect();
        for uid in withdrawn {
            self.apply(&uid, LifeEvent::Withdrawn, now);
        }
    }
}

// === impl Request ===

impl super::Request {
    /// Whether its status tells why it waits.
    fn waits(&self) -> bool {
        match self.life.state {
            State::Waiting | State::Offered { .. } => true,
            State::Recovering => self.life.worker.is_none(),
            _ => false,
        }
    }
}
