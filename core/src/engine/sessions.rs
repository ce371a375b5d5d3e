//! The open streams, and the worker processes whose lease has not ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Hello, Load, Snapshot};
use crate::{
    ids::{AttemptId, Holder, SessionId, Uid},
    life::Outcome,
};

#[derive(Debug, Default)]
pub(super) struct Sessions {
    pub(super) open: BTreeMap<SessionId, Session>,
    pub(super) holders: BTreeMap<Holder, Lease>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) holder: Holder,
    services: Vec<Arc<str>>,
    slots: u32,
    pub(super) free: u32,
    pub(super) draining: bool,
    /// Outcomes of requests that no list has shown yet.
    pub(super) unjudged_outcomes: Vec<(AttemptId, Outcome)>,
}

#[derive(Debug, Default)]
pub(super) struct Lease {
    pub(super) until: Duration,
    pub(super) session: Option<SessionId>,
    /// As in its newest greeting.
    pub(super) services: Vec<Arc<str>>,
    /// Likewise.
    pub(super) slots: u32,
    /// The number of its newest greeting.
    pub(super) greeting: u64,
    pub(super) held: BTreeSet<Uid>,
    /// Of these, what the newest heartbeat did not list, and since when none did.
    pub(super) unlisted: BTreeMap<Uid, Duration>,
    /// Runs that no request knows of: told to stop, and to be waited for.
    pub(super) strays: BTreeSet<AttemptId>,
    /// Greeted attempts of requests that no list has shown yet; true for one that has ended. They
    /// outlive their stream: under this lease they may run.
    pub(super) unjudged: Vec<(AttemptId, bool)>,
}

// === impl Sessions ===

impl Sessions {
    /// The open session of a worker process.
    pub(super) fn session_of(&self, holder: &Holder) -> Option<SessionId> {
        self.holders.get(holder)?.session
    }

    /// A request changed hands.
    pub(super) fn track(&mut self, uid: &Uid, was: Option<&Holder>, is: Option<&Holder>) {
        if was == is {
            return;
        }
        if let Some(lease) = was.and_then(|holder| self.holders.get_mut(holder)) {
            lease.held.remove(uid);
            lease.unlisted.remove(uid);
        }
        if let Some(lease) = is.and_then(|holder| self.holders.get_mut(holder)) {
            lease.held.insert(uid.clone());
        }
    }

    /// Whether a run that was told to stop may go on somewhere.
    pub(super) fn has_stray(&self, uid: &Uid) -> bool {
        self.holders
            .values()
            .any(|lease| lease.strays.iter().any(|stray| stray.uid == *uid))
    }

    /// Whether a run of such a request was told to stop and may go on somewhere.
    pub(super) fn any_stray(&self, of: impl Fn(&Uid) -> bool) -> bool {
        let mut strays = self.holders.values().flat_map(|lease| &lease.strays);
        strays.any(|stray| of(&stray.uid))
    }

    /// Whether any worker may run what no request here tells of.
    pub(super) fn any_unknown_run(&self) -> bool {
        let unjudged = |lease: &Lease| lease.unjudged.iter().any(|(_, has_ended)| !has_ended);
        self.holders.values().any(|lease| !lease.strays.is_empty())
            || self.holders.values().any(unjudged)
    }

    pub(super) fn held(&self, holder: &Holder) -> Vec<Uid> {
        let lease = self.holders.get(holder);
        lease
            .map(|lease| lease.held.iter().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn count_into(&self, snapshot: &mut Snapshot) {
        snapshot.sessions = self.open.len();
        snapshot.slots = self.open.values().map(|session| session.slots).sum();
        snapshot.free = self.open.values().map(|session| session.free).sum();
    }

    /// What each worker process has to do; without those that take nothing more.
    pub(super) fn loads(&self) -> Vec<Load> {
        let leaves = |lease: &&Lease| {
            let session = lease.session.and_then(|id| self.open.get(&id));
            session.is_some_and(|session| session.draining)
        };
        let stays = self.holders.values().filter(|lease| !leaves(lease));
        let load = |lease: &Lease| Load {
            services: lease.services.clone(),
            slots: lease.slots,
            busy: u32::try_from(lease.held.len() + lease.strays.len()).unwrap_or(u32::MAX),
        };
        stays.map(load).collect()
    }

    /// Slots of all sessions that run a service and take new work.
    pub(super) fn slots_for(&self, service: &str) -> usize {
        let takers = self.open.values().filter(|session| session.takes(service));
        takers.map(|session| session.slots as usize).sum()
    }

    /// Whether any session runs a service.
    pub(super) fn any_for(&self, service: &str) -> bool {
        self.open.values().any(|session| session.takes(service))
    }

    /// Whether any session has a free slot for a service.
    pub(super) fn idle_for(&self, service: &str) -> bool {
        self.open
            .values()
            .any(|session| session.free > 0 && session.takes(service))
    }

    /// Whether any session has a free slot.
    pub(super) fn any_idle(&self) -> bool {
        self.open
            .values()
            .any(|session| session.free > 0 && !session.draining)
    }

    /// When the next lease ends.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.holders.values().map(|lease| lease.until).min()
    }
}

// === impl Session ===

impl Session {
    pub(super) fn new(hello: &Hello) -> Self {
        let running = u32::try_from(hello.running.len()).unwrap_or(u32::MAX);
        Self {
            holder: hello.holder.clone(),
            services: hello.services.clone(),
            slots: hello.slots,
            free: hello.slots.saturating_sub(running),
            draining: false,
            unjudged_outcomes: vec![],
        }
    }

    /// Keeps an outcome until the lists are there. A worker has no more of them than slots; of one that
    /// has, the others would fill the memory.
    pub(super) fn keep_for_later(&mut self, attempt: &AttemptId, outcome: Outcome) -> bool {
        let has_room = self.unjudged_outcomes.len() < self.slots as usize;
        if has_room {
            self.unjudged_outcomes.push((attempt.clone(), outcome));
        }
        has_room
    }

    pub(super) fn takes(&self, service: &str) -> bool {
        !self.draining && self.services.iter().any(|name| **name == *service)
    }
}
