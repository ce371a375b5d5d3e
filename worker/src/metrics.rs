//! What the worker counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// All metrics. Cheap to clone; clones share the figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) slots: Gauge,
    pub(crate) busy: Gauge,
    jobs: Family<JobLabels, Counter>,
    deliveries: Family<ResultLabels, Counter>,
    ignored: Family<ReasonLabels, Counter>,
    pub(crate) broker_connected: Gauge,
    pub(crate) session_connected: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    service: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("isc_worker_slots", "Jobs at once", self.slots.clone());
        registry.register("isc_worker_busy", "Slots taken", self.busy.clone());
        registry.register("isc_worker_jobs", "Jobs ended", self.jobs.clone());
        registry.register(
            "isc_worker_deliveries",
            "Tickets settled at the broker",
            self.deliveries.clone(),
        );
        registry.register(
            "isc_worker_ignored",
            "Stale or misplaced messages",
            self.ignored.clone(),
        );
        registry.register(
            "isc_worker_broker_connected",
            "1 with a connection to RabbitMQ",
            self.broker_connected.clone(),
        );
        registry.register(
            "isc_worker_session_connected",
            "1 when the watcher has welcomed this worker",
            self.session_connected.clone(),
        );
    }

    pub(crate) fn job(&self, service: &str, outcome: &'static str) {
        let labels = JobLabels {
            service: service.to_owned(),
            outcome,
        };
        self.jobs.get_or_create(&labels).inc();
    }

    pub(crate) fn delivery(&self, result: &'static str) {
        self.deliveries
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    pub(crate) fn ignored(&self, reason: &'static str) {
        self.ignored.get_or_create(&ReasonLabels { reason }).inc();
    }
}
