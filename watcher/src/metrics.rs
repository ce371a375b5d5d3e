//! The watcher's metrics. Label sets are closed; gauges come from the engine's state.

mod labels;
mod policy;
mod services;
mod sources;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use http::Method;
use isc_core::{
    api::Phase,
    engine::{Measure, Snapshot},
};
use isc_runtime::tls::CertificateMetrics;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use labels::{
    CallLabel, DecisionLabel, DirectionLabel, PhaseLabel, ReasonLabel, RuleLabel, SlotLabel,
};
pub(crate) use labels::{ResultLabel, WriteLabel};
use services::ServiceMetrics;
use sources::SourceMetrics;
pub(crate) use sources::SourceState;

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
    /// The audit's lines cannot be written, so that they wait (1).
    pub(crate) audit_blocked: Gauge,
    /// Whether this watcher leads (1) or stands by (0).
    pub(crate) leader: Gauge,
    /// When certificates end.
    pub(crate) certificates: CertificateMetrics,
    /// What is known of each source.
    pub(crate) sources: SourceMetrics,
    messages: Family<DirectionLabel, Counter>,
    api_calls: Family<CallLabel, Counter>,
    audit_lines: Family<ResultLabel, Counter>,
    services: ServiceMetrics,
    reloads: Family<ResultLabel, Counter>,
    decisions: Family<DecisionLabel, Counter>,
    rule_failures: Family<RuleLabel, Counter>,
    rules: Gauge,
    dead_letters: Family<ReasonLabel, Counter>,
    events: Family<ResultLabel, Counter>,
    streams_refused: Family<ReasonLabel, Counter>,
    claims: Family<ResultLabel, Counter>,
    ignored: Family<ReasonLabel, Counter>,
    dropped: Family<ReasonLabel, Counter>,
    requests: Family<PhaseLabel, Gauge>,
    sessions: Gauge,
    slots: Family<SlotLabel, Gauge>,
    endpoints: Gauge,
    backlog: Gauge,
    tenants: Gauge,
    waiting_bytes: Gauge,
    last: Mutex<Option<Snapshot>>,
}

// === impl Metrics ===

impl Metrics {
    /// Registers all metrics.
    #[must_use]
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            status_writes: words::starting(WriteLabel::all()),
            tickets: words::by_result(words::TICKETS),
            broker_connected: Gauge::default(),
            broker_blocked: Gauge::default(),
            config_stale: Gauge::default(),
            audit_blocked: Gauge::default(),
            stale: Mutex::default(),
            leader: Gauge::default(),
            certificates: CertificateMetrics::default(),
            sources: SourceMetrics::default(),
            messages: words::starting(DirectionLabel::all()),
            api_calls: Family::default(),
            audit_lines: words::by_result(words::AUDIT),
            services: ServiceMetrics::default(),
            reloads: words::by_result(words::RELOADS),
            decisions: Family::default(),
            rule_failures: Family::default(),
            rules: Gauge::default(),
            dead_letters: words::by_reason(words::DEAD),
            events: words::by_result(words::EVENTS),
            streams_refused: words::by_reason(words::STREAMS),
            claims: words::by_result(words::CLAIMS),
            ignored: words::by_reason(words::IGNORED),
            dropped: words::by_reason(words::DROPPED),
            requests: Family::default(),
            sessions: Gauge::default(),
            slots: Family::default(),
            endpoints: Gauge::default(),
            backlog: Gauge::default(),
            tenants: Gauge::default(),
            waiting_bytes: Gauge::default(),
            last: Mutex::default(),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, root: &mut Registry) {
        self.certificates.register(root);
        let r = root.sub_registry_with_prefix("isc");
        self.register_counters(r);
        self.sources.register(r);
        self.services.register(r);
        let gauges = [
            ("sessions", "Connected workers", &self.sessions),
            ("endpoints", "Endpoints that are watched", &self.endpoints),
            (
                "tenants",
                "Tenants with a request that has not ended",
                &self.tenants,
            ),
            (
                "waiting_params_bytes",
                "The parameters of all requests that wait",
                &self.waiting_bytes,
            ),
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
                "audit_blocked",
                "Whether the audit's lines cannot be written, so that they wait",
                &self.audit_blocked,
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
        let audit = "Lines of the audit, by what became of them";
        r.register("audit_lines", audit, self.audit_lines.clone());
        let reloads = "Reloads of services, configuration and kubeconfig, by result";
        r.register("config_reloads", reloads, self.reloads.clone());
        let dead = "Dead letters, by why the broker gave up on them";
        r.register("dead_letters", dead, self.dead_letters.clone());
        let events = "Kubernetes Events, by what became of them";
        r.register("events", events, self.events.clone());
        let calls = "Calls to API servers, watches among them, by the code of the answer";
        r.register("api_calls", calls, self.api_calls.clone());
        let messages = "Messages on the workers' streams";
        r.register("session_messages", messages, self.messages.clone());
        let streams = "Workers' streams that were not let in, ended or slowed down, by reason";
        r.register("streams_refused", streams, self.streams_refused.clone());
    }

    /// Counts or measures something that the engine told.
    pub(crate) fn measure(&self, measure: &Measure) {
        match measure {
            Measure::Ignored(reason) => {
                let reason = words::listed(words::IGNORED, reason);
                self.ignored.get_or_create(&ReasonLabel { reason }).inc();
            }
            Measure::Claim(result) => {
                let result = words::listed(words::CLAIMS, result);
                self.claims.get_or_create(&ResultLabel { result }).inc();
            }
            Measure::Attempt { service, outcome } => {
                self.services.attempt(service.as_deref(), outcome);
            }
            Measure::Finished {
                service,
                reason,
                queued,
                ran,
                total,
            } => {
                let times = [*queued, *ran, *total];
                self.services.ended(service.as_deref(), *reason, times);
            }
        }
    }

    /// Counts a call to an API server; code 0 is no answer.
    pub(crate) fn api_call(&self, method: &Method, code: u16) {
        let label = CallLabel::new(method, code);
        self.api_calls.get_or_create(&label).inc();
    }

    /// Counts a message that a worker sent, or was sent.
    pub(crate) fn session_message(&self, direction: &'static str) {
        let label = DirectionLabel { direction };
        self.messages.get_or_create(&label).inc();
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

    /// Counts lines of the audit.
    pub(crate) fn audit_lines(&self, result: &'static str, lines: u64) {
        let of = self.audit_lines.get_or_create(&ResultLabel { result });
        of.inc_by(lines);
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
        let before = last.take().unwrap_or_default();
        self.sources.requests(&snapshot.sources, &before.sources);
        self.services.show(&snapshot, &before.services);
        self.backlog.set(count(snapshot.backlog));
        self.tenants.set(count(snapshot.tenants));
        let bytes = i64::try_from(snapshot.waiting_bytes);
        self.waiting_bytes.set(bytes.unwrap_or(i64::MAX));
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
