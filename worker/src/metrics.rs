//! What the worker counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// All metrics. Cheap to clone; clones share the figures.
#[derive(Clone, Debug)]
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

/// What can become of a ticket.
const DELIVERIES: [&str; 6] = [
    "done",
    "still_running",
    "returned",
    "stop",
    "misrouted",
    "undecodable",
];
/// Why a message can change nothing.
const IGNORED: [&str; 6] = [
    "unknown",
    "late",
    "no_session",
    "still_dying",
    "old_stream",
    "malformed",
];

// === impl Metrics ===

impl Default for Metrics {
    /// Closed lists start with 0, so that a query sees the first thing that is counted, too.
    fn default() -> Self {
        let metrics = Self {
            slots: Gauge::default(),
            busy: Gauge::default(),
            jobs: Family::default(),
            deliveries: Family::default(),
            ignored: Family::default(),
            broker_connected: Gauge::default(),
            session_connected: Gauge::default(),
        };
        for result in DELIVERIES {
            drop(metrics.deliveries.get_or_create(&ResultLabels { result }));
        }
        for reason in IGNORED {
            drop(metrics.ignored.get_or_create(&ReasonLabels { reason }));
        }
        metrics
    }
}

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

#[cfg(test)]
mod tests {
    use isc_runtime::{metrics::table, tls::CertificateMetrics, trace};

    use super::*;

    const PAGE: &str = include_str!("../../docs/metrics.md");

    #[test]
    fn the_table_says_what_is_exported() {
        let mut registry = Registry::default();
        isc_runtime::metrics::register(&mut registry);
        let metrics = Metrics::default();
        metrics.register(&mut registry);
        metrics.job("sign", "succeeded");
        let certificates = CertificateMetrics::default();
        certificates.register(&mut registry);
        for name in ["watcher", "amqp", "tracing"] {
            drop(certificates.of(name, true));
        }
        trace::Counts::default().register(&mut registry);
        let said = table::said(PAGE, &["isc-worker", "Both"]);
        let differences = table::differences(&table::exported(&registry), &said);
        assert!(differences.is_empty(), "docs/metrics.md: {differences:#?}");
    }
}
