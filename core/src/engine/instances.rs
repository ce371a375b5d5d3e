//! Which requests are this instance's, where several share the API.
//!
//! `status.controller` decides. Where it is empty the selectors do, and the first instance whose name is
//! durable there has the request; another one that tried reads that name and lets go. Since no ticket is
//! offered before the name is durable, the loser has started nothing.

use super::{Engine, Entry, Measure, Observation, Request, request::Shown};
use crate::{
    audit::Cancel,
    ids::{Now, Uid},
    life::Act,
};

// === impl Engine ===

impl Engine {
    /// Whether this instance serves a request, or may try to.
    pub(super) fn is_ours(&self, found: &Observation) -> bool {
        let known = self.live(&found.uid);
        let named = found.status.as_ref().and_then(|s| s.controller.as_deref());
        match (named, self.entries.get(&found.uid)) {
            // Its end is durable, and what is kept of it harms nobody.
            (_, Some(Entry::Finished(_))) => true,
            (Some(name), _) if *name == *self.config.instance => true,
            // Only what was there when this instance started: the take-over period is for its workers.
            (Some(name), _) if self.config.adopts.contains(name) => {
                known.is_some() || !self.is_recovered(&found.address.source())
            }
            (Some(_), _) => false,
            // A view from before our name was there says nothing on whose it is.
            (None, _) => found.selected || known.is_some_and(|request| request.owned),
        }
    }

    /// It is another instance's. What a worker of ours runs of it is stopped; nothing is written.
    pub(super) fn let_go(&mut self, found: &Observation, now: Now) {
        let known = self.live(&found.uid);
        if known.is_none_or(|request| request.is_newer_than(found)) {
            return;
        }
        self.measure(Measure::Ignored("another_instance"));
        self.writes.forget(&found.uid);
        self.leaves(&found.uid, Cancel::Released, now);
    }

    /// The API may show our name on it.
    pub(super) fn note_owner(&mut self, uid: &Uid) {
        if let Some(request) = self.live_mut(uid) {
            request.owned |= request.is_named_ours();
        }
    }

    /// What was under way without our name gets it at once: an instance whose requests are taken over, should
    /// it still be there, learns so, and one that selects the same leaves it alone.
    pub(super) fn put_name(&mut self, uid: &Uid, now: Now) {
        if self.live(uid).is_some_and(|request| !request.owned) {
            self.act(uid, Act::SaveNow, now);
        }
    }
}

// === impl Request ===

impl Request {
    /// Whether the API shows our name on it, by what is known here.
    pub(super) fn is_named_ours(&self) -> bool {
        let shown = self.shown.as_ref().and_then(Shown::controller);
        shown.is_some() && shown == self.controller.as_deref()
    }

    /// Whether its status was given to no worker by a watcher of this instance that told everything.
    pub(super) fn was_told(&self, handed_over: bool) -> bool {
        handed_over && self.life.worker.is_none() && !self.adopted
    }
}
