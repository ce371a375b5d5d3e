//! The watcher's metrics. Label sets are closed; gauges come from the engine's state.

mod labels;
mod sources;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use isc_core::{
    api::Phase,
    engine::{Measure, Snapshot},
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::policy::Policy;
use labels::{DecisionLabel, PhaseLabel, ReasonLabel, RuleLabel, SlotLabel};
pub(crate) use labels::{ResultLabel, WriteLabel};
use sources::SourceMetrics;
pub(crate) use sources::SourceState;

/// Bucket bounds for everything that is measured in seconds: 5 ms to about 1.5 hours.
const SECONDS: [f64; 17] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    1800.0, 5400.0,
];

/// Every metric of the watcher.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Status writes, by what they wrote and how they ended.
    pub(crate) status_writes: Family<WriteLabel, Counter>,
    /// Tickets, by what became of them.
    pub(crate) tickets: Family<ResultLabel, Counter>,
    /// The broker is connected (1) or not (0).
    pub(crate) broker_connected: Gauge,
    /// The broker takes no messages (1).
    pub(crate) broker_blocked: Gauge,
    config_stale: Gauge,
    stale: Mutex<BTreeSet<&'static str>>,
    /// Whether this watcher leads (1) or stands by (0).
    pub(crate) leader: Gauge,
    /// What is known of each source.
    pub(crate) sources: SourceMetrics,
    reloads: Family<ResultLabel, Counter>,
    decisions: Family<DecisionLabel, Counter>,
    rule_failures: Family<RuleLabel, Counter>,
    rules: Gauge,
    dead_letters: Family<ReasonLabel, Counter>,
    events: Family<ResultLabel, Counter>,
    streams_refused: Family<ReasonLabel, Counter>,
    claims: Family<ResultLabel, Counter>,
    ignored: Family<ReasonLabel, Counter>,
    finished: Family<ReasonLabel, Counter>,
    dropped: Family<ReasonLabel, Counter>,
    requests: Family<PhaseLabel, Gauge>,
    sessions: Gauge,
    slots: Family<SlotLabel, Gauge>,
    endpoints: Gauge,
    backlog: Gauge,
    queue: Histogram,
    run: Histogram,
    total: Histogram,
    last: Mutex<Option<Snapshot>>,
}

// === impl Metrics ===

impl Metrics {
    /// Registers all metrics.
    #[must_use]
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            status_writes: Family::default(),
            tickets: Family::default(),
            broker_connected: Gauge::default(),
            broker_blocked: Gauge::default(),
            config_stale: Gauge::default(),
            stale: Mutex::default(),
            leader: Gauge::default(),
            sources: SourceMetrics::default(),
            reloads: Family::default(),
            decisions: Family::default(),
            rule_failures: Family::default(),
            rules: Gauge::default(),
            dead_letters: Family::default(),
            events: Family::default(),
            streams_refused: Family::default(),
            claims: Family::default(),
            ignored: Family::default(),
            finished: Family::default(),
            dropped: Family::default(),
            requests: Family::default(),
            sessions: Gauge::default(),
            slots: Family::default(),
            endpoints: Gauge::default(),
            backlog: Gauge::default(),
            queue: Histogram::new(SECONDS),
            run: Histogram::new(SECONDS),
            total: Histogram::new(SECONDS),
            last: Mutex::default(),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, root: &mut Registry) {
        let r = root.sub_registry_with_prefix("isc");
        self.register_counters(r);
        self.sources.register(r);
        let gauges = [
            ("sessions", "Connected workers", &self.sessions),
            ("endpoints", "Endpoints that are watched", &self.endpoints),
            (
                "status_backlog",
                "Requests that wait for a status write",
                &self.backlog,
            ),
            (
                "config_stale",
                "Whether the files have a mistake, so that the last good state is in force",
                &self.config_stale,
            ),
            (
                "leader",
                "Whether this watcher leads (1) or stands by (0)",
                &self.leader,
            ),
            (
                "broker_connected",
                "Whether the broker is connected",
                &self.broker_connected,
            ),
            (
                "broker_blocked",
                "Whether the broker takes no messages",
                &self.broker_blocked,
            ),
        ];
        self.register_policy(r);
        for (name, help, gauge) in gauges {
            r.register(name, help, gauge.clone());
        }
        let help = "Requests by phase; Finished are those whose end is written";
        r.register("requests", help, self.requests.clone());
        let help = "Slots of the connected workers";
        r.register("slots", help, self.slots.clone());
        let histograms = [
            ("queue", "From accepted to started", &self.queue),
            ("run", "From started to ended", &self.run),
            ("total", "From accepted to ended", &self.total),
        ];
        for (name, help, histogram) in histograms {
            r.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
    }

    fn register_counters(&self, r: &mut Registry) {
        let writes = "Status writes by kind and result";
        r.register("status_writes", writes, self.status_writes.clone());
        r.register(
            "tickets",
            "Tickets by what became of them",
            self.tickets.clone(),
        );
        r.register("claims", "Claims by answer", self.claims.clone());
        let ignored = "Events that changed nothing, by reason";
        r.register("ignored", ignored, self.ignored.clone());
        let dropped = "Things dropped because nobody could take them";
        r.register("dropped", dropped, self.dropped.clone());
        let reloads = "Reloads of services, configuration and kubeconfig, by result";
        r.register("config_reloads", reloads, self.reloads.clone());
        let dead = "Dead letters, by why the broker gave up on them";
        r.register("dead_letters", dead, self.dead_letters.clone());
        let events = "Kubernetes Events, by what became of them";
        r.register("events", events, self.events.clone());
        let streams = "Workers' streams that were not let in, ended or slowed down, by reason";
        r.register("streams_refused", streams, self.streams_refused.clone());
        let finished = "Requests that ended, by reason";
        r.register("requests_finished", finished, self.finished.clone());
    }

    fn register_policy(&self, r: &mut Registry) {
        let help = "New requests, by the rule that decided and how";
        r.register("policy_decisions", help, self.decisions.clone());
        let help = "Evaluations of a rule's expression that failed";
        r.register("policy_failures", help, self.rule_failures.clone());
        r.register("policy_rules", "Rules in force", self.rules.clone());
    }

    /// Counts or measures something that the engine told.
    pub(crate) fn measure(&self, measure: &Measure) {
        match measure {
            Measure::Ignored(reason) => {
                self.ignored.get_or_create(&ReasonLabel { reason }).inc();
            }
            Measure::Claim(result) => {
                self.claims.get_or_create(&ResultLabel { result }).inc();
            }
            Measure::Finished {
                reason,
                queued,
                ran,
                total,
                ..
            } => {
                self.finished
                    .get_or_create(&ReasonLabel {
                        reason: reason.as_str(),
                    })
                    .inc();
                for (time, histogram) in [
                    (queued, &self.queue),
                    (ran, &self.run),
                    (total, &self.total),
                ] {
                    histogram_of(histogram, *time);
                }
            }
        }
    }

    /// Counts a thing that was dropped.
    pub(crate) fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a worker's stream that broke a rule.
    pub(crate) fn stream_refused(&self, reason: &'static str) {
        self.streams_refused
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    /// Counts a reload.
    pub(crate) fn reload(&self, result: &'static str) {
        self.reloads.get_or_create(&ResultLabel { result }).inc();
    }

    /// Notes whether what is in those files is in force, or the last good state is.
    pub(crate) fn stale(&self, files: &'static str, is_stale: bool) {
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        if is_stale {
            stale.insert(files);
        } else {
            stale.remove(files);
        }
        self.config_stale.set(i64::from(!stale.is_empty()));
    }

    /// Shows the policy in force; its rules start with 0.
    pub(crate) fn policy(&self, policy: &Policy) {
        self.rules
            .set(i64::try_from(policy.len()).unwrap_or(i64::MAX));
        for (rule, result) in policy.results() {
            let rule = rule.to_owned();
            drop(
                self.decisions
                    .get_or_create(&DecisionLabel { rule, result }),
            );
        }
    }

    /// Counts a decision on a new request.
    pub(crate) fn decision(&self, rule: &str, result: &'static str) {
        let rule = rule.to_owned();
        self.decisions
            .get_or_create(&DecisionLabel { rule, result })
            .inc();
    }

    /// Counts a rule whose expression could not be evaluated.
    pub(crate) fn rule_failed(&self, rule: &str) {
        let rule = rule.to_owned();
        self.rule_failures.get_or_create(&RuleLabel { rule }).inc();
    }

    /// Counts a dead letter.
    pub(crate) fn dead_letter(&self, reason: &'static str) {
        self.dead_letters
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    /// Counts a Kubernetes Event.
    pub(crate) fn event(&self, result: &'static str) {
        self.events.get_or_create(&ResultLabel { result }).inc();
    }

    /// Sets the gauges.
    pub(crate) fn show(&self, snapshot: Snapshot) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&snapshot) {
            return;
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        for (phase, name) in PHASES {
            let n = snapshot.phases.get(&phase).copied().unwrap_or_default();
            self.requests
                .get_or_create(&PhaseLabel { phase: name })
                .set(count(n));
        }
        self.requests
            .get_or_create(&PhaseLabel { phase: "Finished" })
            .set(count(snapshot.finished));
        self.sessions.set(count(snapshot.sessions));
        self.slots
            .get_or_create(&SlotLabel { state: "all" })
            .set(snapshot.slots.into());
        self.slots
            .get_or_create(&SlotLabel { state: "free" })
            .set(snapshot.free.into());
        self.endpoints.set(count(snapshot.endpoints));
        let before = last.take().map(|last| last.sources).unwrap_or_default();
        self.sources.requests(&snapshot.sources, &before);
        self.backlog.set(count(snapshot.backlog));
        *last = Some(snapshot);
    }
}

/// The phases that a request can be in before its end is written.
const PHASES: [(Phase, &str); 7] = [
    (Phase::Queued, "Queued"),
    (Phase::Running, "Running"),
    (Phase::Cancelling, "Cancelling"),
    (Phase::Succeeded, "Succeeded"),
    (Phase::Failed, "Failed"),
    (Phase::Rejected, "Rejected"),
    (Phase::Cancelled, "Cancelled"),
];

fn histogram_of(histogram: &Histogram, time: Option<Duration>) {
    if let Some(time) = time {
        histogram.observe(time.as_secs_f64());
    }
}
