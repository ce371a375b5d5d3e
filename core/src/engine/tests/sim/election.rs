//! The Lease object, and the watchers' part of the election: who leads, and until when it may think so.

use super::{
    super::*,
    action::{Action, Input, Process},
    tale,
    world::World,
};
use crate::rules::Rule;

/// How long a lead lasts without a renewal.
const LEAD: Duration = Duration::from_secs(10);
const ASK_EVERY: u64 = 2000;

/// The Lease object.
#[derive(Debug, Default)]
pub(super) struct Lease {
    holder: Option<Process>,
    renewed: Duration,
    /// A leader that ended wrote everything first.
    pub(super) mark: bool,
}

// === impl World ===

impl World {
    /// A watcher process asks for the lead, or renews it; it does so for ever.
    pub(super) fn ask(&mut self, by: Process) {
        let every = self.dice.between(ASK_EVERY, ASK_EVERY + 200);
        self.at(self.now + every, Action::Watcher(by, Input::Ask));
        if self.watchers[by.slot].lease_cut_until <= self.now {
            let slow = self.slow(2, 8000, 200);
            let sent = self.now;
            self.later(1, slow, Action::LeaseAsked { by, sent });
        }
    }

    pub(super) fn lease_asked(&mut self, by: Process, sent: Duration) {
        let free = self.now >= self.lease.renewed + LEAD;
        if self.lease.holder.is_some_and(|holder| holder != by) && !free {
            return;
        }
        if self.lease.holder != Some(by) {
            self.tell(None, || format!("{} gets the lead", tale::watcher(by)));
        }
        // The mark is taken and cleared in one update.
        self.watchers[by.slot].mark |= self.lease.mark;
        self.lease = Lease {
            holder: Some(by),
            renewed: self.now,
            mark: false,
        };
        if self.watchers[by.slot].lease_cut_until <= self.now {
            let slow = self.slow(2, 8000, 200);
            self.later(1, slow, Action::Watcher(by, Input::Leads { sent }));
        }
    }

    pub(super) fn leads(&mut self, by: Process, sent: Duration) {
        let until = sent + LEAD;
        let watcher = &mut self.watchers[by.slot];
        // A lead that was over is not renewed but won anew: others may have led meanwhile.
        let lapsed = watcher.lead_until.is_some_and(|until| until <= self.now);
        if lapsed && self.rules.hold(Rule::LapsedLeadIsLost) {
            return self.end_watcher(by.slot);
        }
        watcher.lead_until = watcher.lead_until.max(Some(until));
        let lead_until = watcher.lead_until;
        match &mut watcher.engine {
            Some(engine) => {
                engine.lead_until(lead_until);
                self.wake_up_in_time(by);
            }
            None if self.now < until => self.start_engine(by),
            None => {}
        }
    }

    /// A leader that ends cleanly does not keep the others waiting.
    pub(super) fn leaves(&mut self, by: Process, mark: bool) {
        let single = self.plan.watchers == 1;
        let lead = self.watchers[by.slot].lead_until;
        let leads = lead.is_none_or(|until| self.now < until);
        if (single || self.lease.holder == Some(by)) && leads {
            self.lease.holder = None;
            self.lease.mark = mark;
            self.tell(None, || {
                format!("{} leaves, mark: {mark}", tale::watcher(by))
            });
        }
        self.end_watcher(by.slot);
    }
}
