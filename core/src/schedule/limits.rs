//! What an operator changes while requests wait and run.

use std::{sync::Arc, time::Duration};

use super::{Schedule, number};
use crate::flow::{Flow, Pause, Tenants};

// === impl Schedule ===

impl Schedule {
    /// New limits and pauses for everything that starts from now on; what runs is left alone.
    pub fn configure(
        &mut self,
        flows: impl IntoIterator<Item = (Arc<str>, Flow)>,
        tenants: Tenants,
        pause: Pause,
        now: Duration,
    ) {
        (self.limits, self.pause) = (tenants, pause);
        for service in self.services.values_mut() {
            (service.named, service.flow) = (false, Flow::default());
        }
        for (name, flow) in flows {
            let service = self.services.entry(name).or_default();
            (service.named, service.flow) = (true, flow);
        }
        self.services
            .retain(|_, service| service.named || !service.queues.is_empty());
        for service in self.services.values_mut() {
            service.bucket.set(service.flow.rate, now);
        }
        let one_of_each = self
            .services
            .values()
            .filter_map(|s| s.queues.values().next());
        for no in one_of_each.copied().collect::<Vec<_>>() {
            for key in self.books(no).service.keys.numbers() {
                self.free_key(no, key);
            }
        }
        let queues: Vec<u32> = self.queues.iter().map(|(no, _)| number(no)).collect();
        for no in queues {
            self.refresh(no);
        }
    }

    /// Whether nothing of that service may start for that tenant.
    #[must_use]
    pub fn is_paused(&self, service: &str, tenant: &str) -> bool {
        self.is_service_paused(service) || self.pause.tenants.contains(tenant)
    }

    pub(super) fn is_service_paused(&self, service: &str) -> bool {
        let flow = self.services.get(service).map(|service| &service.flow);
        self.pause.all
            || self.pause.services.contains(service)
            || flow.is_some_and(|flow| flow.paused)
    }
}
