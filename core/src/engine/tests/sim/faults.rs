//! What goes wrong, and what people do.

use super::{
    super::*,
    action::{Action, Change, Input, Order},
    plan::Fault,
    tale,
    world::World,
};
use crate::worker_session as ws;

// === impl World ===

impl World {
    pub(super) fn changes(&mut self, change: &Change) {
        let (Change::Create(uid)
        | Change::Cancel(uid)
        | Change::Delete(uid)
        | Change::Hide(uid)
        | Change::Show(uid)) = change.clone();
        let word = format!("{change:?}");
        self.tale.about(self.now, || (Some(uid.clone()), word));
        let objects = &mut self.api.objects;
        match (change, objects.get_mut(&uid)) {
            (Change::Create(_), _) => {
                let (spec, created) = (self.plan.spec(&mut self.dice), self.now);
                self.ledger.asks(&uid, &spec);
                objects.insert(uid.clone(), super::api::Object::new(spec, created));
            }
            (Change::Delete(_), Some(_)) => {
                objects.remove(&uid);
                self.is_away(&uid, 250);
            }
            (Change::Cancel(_), Some(object)) => object.spec.cancel = Some(true),
            (Change::Hide(_), Some(object)) => {
                object.hidden = true;
                self.is_away(&uid, 250);
            }
            (Change::Show(_), Some(object)) => object.hidden = false,
            (_, None) => return,
        }
        self.api.touch(&uid);
        self.watches_tell(&uid);
    }

    pub(super) fn delete(&mut self, uid: &Uid) {
        self.changes(&Change::Delete(uid.clone()));
    }

    pub(super) fn fault(&mut self) {
        if !self.is_faulty() {
            return;
        }
        let (from, to) = self.plan.gap;
        self.later(from, to, Action::Fault);
        let fault = self.plan.fault(&mut self.dice);
        let (worker, watcher) = (
            self.dice.below(self.workers.len()),
            self.dice.below(self.watchers.len()),
        );
        self.tell(None, || {
            format!("FAULT: {fault:?} (worker w{worker}, watcher {watcher})")
        });
        match fault {
            Fault::BreakStream => self.any_stream(Self::cut_stream),
            Fault::StallStream => self.any_stream(Self::stall_stream),
            Fault::CrashWorker => {
                self.end_worker(worker);
                self.later(500, 20_000, Action::StartWorker { slot: worker });
            }
            Fault::FreezeWorker => drop(self.freeze_worker(worker)),
            Fault::DrainWorker => self.drain_worker(worker),
            Fault::CrashWatcher => self.end_watcher(watcher),
            Fault::FreezeWatcher => drop(self.freeze_watcher(watcher)),
            Fault::StopWatcher => self.stop_watcher(watcher),
            Fault::Deafen => self.deafen(watcher),
            Fault::StallEngine => self.stall_engine(watcher, 1000, 50_000),
            Fault::CutLease => self.watchers[watcher].lease_cut_until = self.soon(1000, 60_000),
            Fault::CutApi => {
                self.watchers[watcher].api_cut_until = self.soon(1000, 40_000);
                self.lose_watch(watcher, 8000);
            }
            Fault::LoseWatch => self.lose_watch(watcher, 8000),
            Fault::LoseBroker => self.lose_broker(),
            Fault::LoseEndpoint => self.lose_endpoint(watcher),
            Fault::HideObject => self.hide_any(),
            Fault::Pause => {
                self.pause(true);
                self.later(1000, 20_000, Action::Unpause);
            }
        }
    }

    pub(super) fn pause(&mut self, all: bool) {
        self.config.pause.all = all;
        let new = Reconfigure {
            catalogue: self.config.catalogue.clone(),
            tenants: self.config.tenants,
            pause: self.config.pause.clone(),
        };
        for slot in 0..self.watchers.len() {
            let event = Box::new(Event::Reconfigured(Box::new(new.clone())));
            let process = self.watcher_process(slot);
            self.at(self.now, Action::Watcher(process, Input::Event(event)));
        }
    }

    fn stall_engine(&mut self, watcher: usize, from: u64, to: u64) {
        let until = self.soon(from, to);
        let stalled = &mut self.watchers[watcher].stalled_until;
        *stalled = until.max(*stalled);
    }

    /// Another may lead before the stalled engine goes on, and may have ended by then.
    fn deafen(&mut self, watcher: usize) {
        if self.dice.chance(50) {
            self.stall_engine(watcher, 30_000, 100_000);
            self.watchers[watcher].lease_cut_until = self.soon(12_000, 60_000);
        } else {
            self.stall_engine(watcher, 70_000, 110_000);
            self.watchers[watcher].lease_cut_until = self.soon(12_000, 25_000);
            let slot = (watcher + 1) % self.watchers.len();
            self.later(45_000, 60_000, Action::CrashWatcher { slot });
        }
    }

    fn soon(&mut self, from: u64, to: u64) -> Duration {
        self.now + self.dice.between(from, to)
    }

    fn any_stream(&mut self, break_it: impl FnOnce(&mut Self, SessionId)) {
        let open: Vec<SessionId> = self.workers.iter().filter_map(|w| w.stream).collect();
        if !open.is_empty() {
            let session = open[self.dice.below(open.len())];
            break_it(self, session);
        }
    }

    /// The process stands still, for less or more than its lease; its warden does not.
    pub(super) fn freeze_worker(&mut self, slot: usize) -> Duration {
        let until = self.soon(1000, 60_000);
        let process = self.worker_process(slot);
        let worker = &mut self.workers[slot];
        worker.frozen_until = worker.frozen_until.max(until);
        let until = worker.frozen_until;
        self.tell(None, || {
            format!("{} stands still until {until:?}", tale::worker(process))
        });
        until
    }

    /// The process stands still; what comes for it waits.
    pub(super) fn freeze_watcher(&mut self, slot: usize) -> Duration {
        let until = self.soon(1000, 60_000);
        let process = self.watcher_process(slot);
        let watcher = &mut self.watchers[slot];
        watcher.frozen_until = watcher.frozen_until.max(until);
        let until = watcher.frozen_until;
        self.tell(None, || {
            format!("{} stands still until {until:?}", tale::watcher(process))
        });
        until
    }

    /// A clean end, or one that is cut short.
    fn stop_watcher(&mut self, slot: usize) {
        let process = self.watcher_process(slot);
        self.at(self.now, Action::Watcher(process, Input::Drain));
        self.later(0, 15_000, Action::Watcher(process, Input::Ends));
    }

    /// It finishes or interrupts what it runs and starts again.
    fn drain_worker(&mut self, slot: usize) {
        let process = self.worker_process(slot);
        let order = |event| Action::Worker(process, Order::Session(event));
        self.at(self.now, order(ws::Event::Drain));
        self.later(0, 5000, order(ws::Event::DrainOver));
        self.later(20_000, 30_000, Action::StartWorker { slot });
    }

    /// The slice lacks the endpoint for a while, or the API server does not serve the kind; once in a while
    /// for so long that it is given up.
    fn lose_endpoint(&mut self, slot: usize) {
        let process = self.watcher_process(slot);
        let long = if self.dice.chance(10) {
            // What runs then is stopped, as if every workspace were gone.
            let all: Vec<Uid> = self.api.objects.keys().cloned().collect();
            for uid in &all {
                self.is_away(uid, 800);
            }
            350_000
        } else {
            20_000
        };
        if self.dice.chance(50) {
            self.watchers[slot].unserved_until = self.soon(100, long);
            return self.lose_watch(slot, 1000);
        }
        let gone = Input::Event(Box::new(Event::Endpoints(vec![])));
        self.stop_watch(slot);
        self.at(self.now, Action::Watcher(process, gone));
        self.later(100, long, Action::Watcher(process, Input::EndpointBack));
    }

    /// A workspace is unbound for a while.
    fn hide_any(&mut self) {
        let live = self
            .api
            .objects
            .keys()
            .filter(|uid| !self.api.has_ended(uid));
        let uids: Vec<Uid> = live.cloned().collect();
        if !uids.is_empty() {
            let uid = uids[self.dice.below(uids.len())].clone();
            self.changes(&Change::Hide(uid.clone()));
            let (from, to) = self.plan.hidden;
            self.later(from, to, Action::Object(Change::Show(uid)));
        }
    }
}
