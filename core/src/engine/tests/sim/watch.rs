//! What a watcher sees of the API server: full lists, and the changes since, in order and late.

use super::{
    super::*,
    action::{Action, Input, Process},
    world::World,
};
use crate::rules::Rule;

/// A watcher's one watch.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When its newest event arrives.
    newest: Duration,
    /// The number of the present watch.
    epoch: u32,
    on: bool,
    /// How many full lists were read.
    lists: u32,
}

// === impl Watch ===

impl Watch {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }
}

// === impl World ===

impl World {
    /// The watch is lost; a new list comes later.
    pub(super) fn lose_watch(&mut self, slot: usize, within_ms: u64) {
        self.stop_watch(slot);
        let (process, epoch) = (self.watcher_process(slot), self.watchers[slot].watch.epoch);
        let list = Action::Watcher(process, Input::List { epoch });
        self.later(1, within_ms, list);
    }

    pub(super) fn stop_watch(&mut self, slot: usize) {
        let watch = &mut self.watchers[slot].watch;
        (watch.on, watch.epoch) = (false, watch.epoch + 1);
    }

    pub(super) fn list(&mut self, by: Process, epoch: u32) {
        let watcher = &mut self.watchers[by.slot];
        if watcher.watch.epoch != epoch || watcher.engine.is_none() {
            return;
        }
        if watcher.api_cut_until > self.now {
            return self.later(500, 3000, Action::Watcher(by, Input::List { epoch }));
        }
        if watcher.unserved_until > self.now {
            self.watcher_step(by, Event::Unserved(source()));
            return self.later(500, 5000, Action::Watcher(by, Input::List { epoch }));
        }
        watcher.watch.on = true;
        watcher.watch.newest = watcher.watch.newest.max(self.now);
        let first = watcher.watch.lists == 0;
        watcher.watch.lists += 1;
        let rule = if first {
            Rule::FirstListAfterWinning
        } else {
            Rule::ListsAreConsistent
        };
        if self.rules.hold(rule) {
            let uids: Vec<Uid> = self.api.objects.keys().cloned().collect();
            self.lists(
                by.slot,
                uids.iter().filter_map(|uid| self.api.see(uid)).collect(),
            );
        } else {
            self.old_list(by.slot);
        }
    }

    fn lists(&mut self, slot: usize, seen: Vec<Observation>) {
        self.watched(slot, Event::ListStarted(source()));
        for observation in seen {
            self.watched(slot, Event::Observed(Box::new(observation)));
        }
        self.watched(slot, Event::Listed(source()));
    }

    /// What was there some time ago, and then everything that changed since.
    fn old_list(&mut self, slot: usize) {
        let Some(old) = self.api.old_view(&mut self.dice) else {
            return self.lists(slot, vec![]);
        };
        let seen: Vec<Observation> = old.iter().filter_map(|(uid, o)| o.seen(uid)).collect();
        self.lists(slot, seen);
        let uids: BTreeSet<Uid> = old.keys().chain(self.api.objects.keys()).cloned().collect();
        for uid in uids {
            let version =
                |object: Option<&super::api::Object>| object.map(super::api::Object::version);
            if version(old.get(&uid)) != version(self.api.objects.get(&uid)) {
                self.watch_tells(slot, &uid);
            }
        }
    }

    /// An object changed.
    pub(super) fn watches_tell(&mut self, uid: &Uid) {
        for slot in 0..self.watchers.len() {
            self.watch_tells(slot, uid);
        }
    }

    fn watch_tells(&mut self, slot: usize, uid: &Uid) {
        if !self.watchers[slot].watch.on || !self.watchers[slot].up {
            return;
        }
        let event = match self.api.see(uid) {
            Some(observation) => Event::Observed(Box::new(observation)),
            None => gone(uid),
        };
        self.watched(slot, event);
    }

    fn watched(&mut self, slot: usize, event: Event) {
        let latest = self.slow(3, 3000, 80);
        let (now, delay) = (self.now, self.dice.between(1, latest));
        let process = self.watcher_process(slot);
        let watch = &mut self.watchers[slot].watch;
        watch.newest = watch.newest.max(now + delay);
        let (at, epoch) = (watch.newest, watch.epoch);
        let event = Box::new(event);
        self.at(
            at,
            Action::Watcher(process, Input::Watched { epoch, event }),
        );
    }
}
