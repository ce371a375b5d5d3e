//! Decides the places of listed requests with a key.

use std::collections::BTreeMap;

use super::super::{Engine, Entry, Request};
use crate::{
    ids::{Now, Source, Uid},
    keys::{Key, Standing},
    life::{LifeEvent, State},
};

impl Engine {
    /// Decides the places of listed requests, once nobody can run one of them without being known.
    pub(super) fn settle_keys(&mut self, now: Now) {
        if !self.keyed.unsettled || self.any_unknown_run() {
            return;
        }
        self.keyed.unsettled = false;
        let open = self.keyed.keys.open();
        let open: Vec<(Key, Vec<Uid>)> = open.map(|(key, uids)| (key.clone(), uids)).collect();
        for (key, uids) in open {
            if uids.iter().all(|uid| self.may_settle(uid)) {
                self.settle(&key, &uids, now);
            }
        }
    }

    fn settle(&mut self, key: &Key, uids: &[Uid], now: Now) {
        for uid in uids {
            let life = self.live(uid).map(|request| &request.life);
            let due = life.is_some_and(|life| life.worker.is_some() || life.stop.is_some());
            if due && !self.is_held_back(uid) {
                self.apply(uid, LifeEvent::TakeoverEnded, now);
            }
            if self.live(uid).is_some_and(Request::was_accepted) {
                self.keyed.keys.accept(uid);
            }
        }
        let standings: BTreeMap<&Uid, Standing> =
            uids.iter().map(|uid| (uid, self.standing(uid))).collect();
        let standing = |uid: &Uid| standings.get(uid).copied().unwrap_or(Standing::Idle);
        let verdicts = self.keyed.keys.settle(key, standing);
        self.keyed.verdicts.extend(verdicts);
    }

    fn standing(&self, uid: &Uid) -> Standing {
        let saving = |state: &State| matches!(state, State::Saving { .. });
        match self.live(uid).map(|request| &request.life) {
            Some(life) if life.holder().is_some() => Standing::Held,
            Some(life) if life.worker.is_some() || saving(&life.state) => Standing::Ran,
            _ => Standing::Idle,
        }
    }

    /// Whether the take-over is over for it, or the watcher before this one told everything.
    fn may_settle(&self, uid: &Uid) -> bool {
        let told = |source: &Source| {
            let lists = self.sources.get(source);
            lists.is_some_and(|e| e.recovered || (self.leader.handed_over && e.listed))
        };
        self.live(uid)
            .is_none_or(|request| !request.inherited || told(&request.address.source()))
    }

    /// A worker may run what no live request tells of.
    fn any_unknown_run(&self) -> bool {
        let known = |uid: &Uid| match self.entries.get(uid) {
            Some(Entry::Live(request)) => !matches!(request.life.state, State::Done(_)),
            _ => false,
        };
        self.sessions.any_stray(|uid| !known(uid))
    }
}
