//! Numbers for metrics.

use std::collections::HashMap;

use super::{Engine, Entry};
use crate::api::Phase;

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
            listed: self.all_listed(),
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
