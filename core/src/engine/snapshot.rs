//! Numbers for metrics.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Engine, Entry};
use crate::{api::Phase, schedule::Counts};

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
    /// Requests that wait for a status write.
    pub backlog: usize,
    /// Every endpoint of the slice was listed.
    pub listed: bool,
    /// What waits and runs of each service.
    pub services: BTreeMap<Arc<str>, Counts>,
    /// Tenants that have any of these.
    pub tenants: usize,
    /// The parameters of all that waits, bytes.
    pub waiting_bytes: u64,
}

// === impl Engine ===

impl Engine {
    /// Numbers for metrics.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            endpoints: self
                .endpoints
                .values()
                .filter(|endpoint| !endpoint.suspect)
                .count(),
            backlog: self.writes.backlog(),
            listed: self.slice_listed(),
            services: self
                .schedule
                .counts()
                .map(|(name, counts)| (name.clone(), counts))
                .collect(),
            tenants: self.schedule.tenants(),
            waiting_bytes: self.schedule.waiting_bytes(),
            ..Snapshot::default()
        };
        self.sessions.count_into(&mut snapshot);
        for entry in self.entries.values() {
            match entry {
                Entry::Finished(_) => snapshot.finished += 1,
                Entry::Live(request) => *snapshot.phases.entry(request.phase()).or_default() += 1,
            }
        }
        snapshot
    }
}
