//! Numbers for metrics.

use std::sync::Arc;

use super::Schedule;

/// What there is of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that wait.
    pub waiting: u32,
    /// Tickets that are out.
    pub offered: u32,
    /// Requests that a worker has.
    pub held: u32,
    /// Nothing of it may start.
    pub paused: bool,
}

// === impl Schedule ===

impl Schedule {
    /// The numbers of each service.
    pub fn counts(&self) -> impl Iterator<Item = (&Arc<str>, Counts)> {
        self.services.iter().map(|(name, service)| {
            let counts = Counts {
                waiting: service.waiting,
                offered: service.offered,
                held: service.held,
                paused: self.is_service_paused(name),
            };
            (name, counts)
        })
    }

    /// Tenants that have requests that wait or are under way.
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.tenants.len()
    }

    /// The parameters of all that wait, bytes.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.tenants.values().map(|tenant| tenant.bytes).sum()
    }
}
