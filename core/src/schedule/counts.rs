//! Numbers for metrics.

use std::sync::Arc;

use super::{Schedule, Service};

/// What there is of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that wait.
    pub waiting: u32,
    /// Tickets that are out.
    pub offered: u32,
    /// Requests that a worker has.
    pub held: u32,
    /// Requests that could run now if every worker had room: tickets that are out, and what the limits of
    /// the service, the tenants and the keys allow of what waits in line. A rate allows one burst.
    pub startable: u32,
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
                startable: self.startable(name, service),
                paused: self.is_service_paused(name),
            };
            (name, counts)
        })
    }

    fn startable(&self, name: &str, service: &Service) -> u32 {
        if self.is_service_paused(name) {
            return 0;
        }
        let room =
            |limit: Option<u32>, taken: u32| limit.map_or(u32::MAX, |n| n.saturating_sub(taken));
        let of_tenant = |no: &u32| {
            let queue = &self.queues[*no as usize];
            if self.pause.tenants.contains(&queue.tenant) {
                return 0;
            }
            let in_flight = self.tenants.get(&queue.tenant).map_or(0, |t| t.in_flight);
            let here = room(service.flow.per_tenant, queue.in_flight);
            let everywhere = room(self.limits.in_flight, in_flight);
            queue.in_line().min(here).min(everywhere)
        };
        let waiting = service.queues.values().map(of_tenant);
        let waiting = waiting.fold(0, u32::saturating_add);
        let burst = service.flow.rate.map_or(u32::MAX, |rate| rate.burst);
        let more = waiting
            .min(room(
                service.flow.concurrency,
                service.offered + service.held,
            ))
            .min(burst.saturating_sub(service.offered));
        service.offered + more
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
