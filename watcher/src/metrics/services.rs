//! What there is of each service. The label `service` has the names of configured services, and of those that
//! were when their requests were accepted; what callers and workers name besides never becomes a label.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use isc_core::{
    engine::{Load, Snapshot},
    reason::Reason,
    schedule::Counts,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::words;

/// The service of a request that names one that is not there; no service can have that name.
const NO_SERVICE: &str = "-";

/// Bucket bounds for everything that is measured in seconds: 5 ms to about 1.5 hours.
const SECONDS: [f64; 17] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    1800.0, 5400.0,
];

type Times = Family<ServiceLabel, Histogram, fn() -> Histogram>;

/// The metrics of services.
#[derive(Debug)]
pub(super) struct ServiceMetrics {
    finished: Family<EndLabel, Counter>,
    attempts: Family<AttemptLabel, Counter>,
    times: [(&'static str, &'static str, Times); 3],
    requests: Family<StateLabel, Gauge>,
    startable: Family<ServiceLabel, Gauge>,
    oldest: Family<ServiceLabel, Gauge>,
    paused: Family<ServiceLabel, Gauge>,
    slots: Family<StateLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabel {
    service: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    service: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabel {
    service: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    service: String,
    state: &'static str,
}

// === impl ServiceLabel ===

impl ServiceLabel {
    fn of(service: &str) -> Self {
        Self {
            service: service.to_owned(),
        }
    }

    fn with(&self, state: &'static str) -> StateLabel {
        let service = self.service.clone();
        StateLabel { service, state }
    }
}

// === impl ServiceMetrics ===

impl Default for ServiceMetrics {
    fn default() -> Self {
        let times = || Times::new_with_constructor(|| Histogram::new(SECONDS));
        Self {
            finished: Family::default(),
            attempts: Family::default(),
            times: [
                ("queue", "From accepted to started", times()),
                ("run", "From started to ended", times()),
                ("total", "From accepted to ended", times()),
            ],
            requests: Family::default(),
            startable: Family::default(),
            oldest: Family::default(),
            paused: Family::default(),
            slots: Family::default(),
        }
    }
}

impl ServiceMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Requests that ended, by service and reason";
        r.register("requests_finished", help, self.finished.clone());
        let help = "Attempts that failed or were lost, the last one of a request too";
        r.register("attempts", help, self.attempts.clone());
        for (name, help, times) in &self.times {
            r.register_with_unit(*name, *help, Unit::Seconds, times.clone());
        }
        let help = "Requests that have not ended, by service and where they are";
        r.register("service_requests", help, self.requests.clone());
        let help = "Requests that could run now if every worker had room";
        r.register("service_startable", help, self.startable.clone());
        let help =
            "When the request was accepted that waits longest for its first start, Unix time, or 0";
        r.register(
            "service_oldest_waiting_timestamp_seconds",
            help,
            self.oldest.clone(),
        );
        let help = "Whether nothing of the service may start";
        r.register("service_paused", help, self.paused.clone());
        let help = "Slots of the workers that run the service";
        r.register("service_slots", help, self.slots.clone());
    }

    /// A request ended; the times are those of the histograms, in order.
    pub(super) fn ended(
        &self,
        service: Option<&str>,
        reason: Reason,
        times: [Option<Duration>; 3],
    ) {
        let label = ServiceLabel::of(service.unwrap_or(NO_SERVICE));
        let end = EndLabel {
            service: label.service.clone(),
            reason: reason.as_str(),
        };
        self.finished.get_or_create(&end).inc();
        for ((_, _, histograms), time) in self.times.iter().zip(times) {
            if let Some(time) = time {
                let histogram = histograms.get_or_create(&label);
                histogram.observe(time.as_secs_f64());
            }
        }
    }

    /// An attempt failed or was lost.
    pub(super) fn attempt(&self, service: Option<&str>, outcome: &'static str) {
        let service = service.unwrap_or(NO_SERVICE).to_owned();
        self.attempts
            .get_or_create(&AttemptLabel { service, outcome })
            .inc();
    }

    /// Sets the gauges; `before` is what they were set to last.
    pub(super) fn show(&self, now: &Snapshot, before: &BTreeMap<Arc<str>, Counts>) {
        let gone = before
            .keys()
            .filter(|name| !now.services.contains_key(*name));
        for service in gone {
            self.forget(&ServiceLabel::of(service));
        }
        for (service, counts) in &now.services {
            let label = ServiceLabel::of(service);
            self.count(&label, counts);
            let slots = slots(service, &now.workers);
            for (state, n) in [("all", slots.0), ("free", slots.1)] {
                self.slots.get_or_create(&label.with(state)).set(n);
            }
            let since = now.oldest.get(service).map_or(0, |since| since.as_second());
            self.oldest.get_or_create(&label).set(since);
        }
    }

    fn count(&self, label: &ServiceLabel, counts: &Counts) {
        let Counts {
            waiting,
            offered,
            held,
            startable,
            paused,
        } = *counts;
        for (state, n) in [("waiting", waiting), ("offered", offered), ("held", held)] {
            self.requests
                .get_or_create(&label.with(state))
                .set(n.into());
        }
        self.startable.get_or_create(label).set(startable.into());
        self.paused.get_or_create(label).set(paused.into());
        for outcome in words::ATTEMPTS {
            let service = label.service.clone();
            drop(
                self.attempts
                    .get_or_create(&AttemptLabel { service, outcome }),
            );
        }
    }

    fn forget(&self, label: &ServiceLabel) {
        for state in ["waiting", "offered", "held"] {
            self.requests.remove(&label.with(state));
        }
        for state in ["all", "free"] {
            self.slots.remove(&label.with(state));
        }
        for family in [&self.startable, &self.oldest, &self.paused] {
            family.remove(label);
        }
    }
}

/// All slots of the workers that run a service, and the free ones. A worker's slots are for all of its services.
fn slots(service: &str, workers: &[Load]) -> (i64, i64) {
    let runs = |load: &&Load| load.services.iter().any(|name| **name == *service);
    workers
        .iter()
        .filter(runs)
        .fold((0, 0), |(all, free), load| {
            let left = load.slots.saturating_sub(load.busy);
            (all + i64::from(load.slots), free + i64::from(left))
        })
}
