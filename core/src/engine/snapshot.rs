//! Numbers for metrics.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Engine, Entry, Request};
use crate::{api::Phase, ids::Source, life::State, schedule::Counts};

/// Numbers for metrics, computed from the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests by phase; ended ones are one number.
    pub phases: HashMap<Phase, usize>,
    /// Requests whose end is in the API.
    pub finished: usize,
    /// Open sessions.
    pub sessions: usize,
    /// Slots of all sessions.
    pub slots: u32,
    /// Free ones, as last heard.
    pub free: u32,
    /// Endpoints that are watched.
    pub endpoints: usize,
    /// Requests that are known, finished ones too, by where they are.
    pub sources: BTreeMap<Source, usize>,
    /// Requests that wait for a status write.
    pub backlog: usize,
    /// Everything that is served was listed.
    pub listed: bool,
    /// Besides, every worker had the time to say what it runs.
    pub settled: bool,
    /// What each worker process has to do, without those that end.
    pub workers: Vec<Load>,
    /// What waits and runs of each service.
    pub services: BTreeMap<Arc<str>, Counts>,
    /// When the one of them was accepted that waits longest for its first start.
    pub oldest: BTreeMap<Arc<str>, Timestamp>,
    /// Tenants that have any of these.
    pub tenants: usize,
    /// The parameters of all that waits, bytes.
    pub waiting_bytes: u64,
}

/// What a worker process has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// What it runs.
    pub services: Vec<Arc<str>>,
    /// So many at once.
    pub slots: u32,
    /// Slots in use.
    pub busy: u32,
}

// === impl Engine ===

impl Engine {
    /// Numbers for metrics.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            endpoints: self.usable_endpoints(),
            backlog: self.writes.backlog(),
            listed: self.slice_listed(),
            settled: self.slice_listed() && self.sources.values().all(|s| s.recovered || s.suspect),
            workers: self.sessions.loads(),
            services: self
                .schedule
                .counts()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, counts)| (name.clone(), counts))
                .collect(),
            tenants: self.schedule.tenants(),
            waiting_bytes: self.schedule.waiting_bytes(),
            ..Snapshot::default()
        };
        self.sessions.count_into(&mut snapshot);
        let mut known: Vec<(&Source, usize)> =
            self.sources.keys().map(|source| (source, 0)).collect();
        for entry in self.entries.values() {
            // There are few sources and many requests.
            if let Some((_, n)) = known.iter_mut().find(|(source, _)| entry.is_at(source)) {
                *n += 1;
            }
            match entry {
                Entry::Finished(_) => snapshot.finished += 1,
                Entry::Live(request) => {
                    *snapshot.phases.entry(request.phase()).or_default() += 1;
                    snapshot.keep_oldest(request);
                }
            }
        }
        let known = known.into_iter().map(|(source, n)| (source.clone(), n));
        snapshot.sources = known.collect();
        snapshot
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// A request that only waits for its turn or for a worker may be the one that does so longest.
    fn keep_oldest(&mut self, request: &Request) {
        let waits = matches!(request.life.state, State::Waiting | State::Offered { .. })
            && request.life.first_started.is_none()
            && self.services.contains_key(&request.service);
        if !waits {
            return;
        }
        let since = request.life.queued.wall;
        if let Some(oldest) = self.oldest.get_mut(&request.service) {
            *oldest = since.min(*oldest);
        } else {
            self.oldest.insert(request.service.clone(), since);
        }
    }
}
