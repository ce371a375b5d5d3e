//! The spans of requests: one for each as a whole, and those of what the watcher does for it.
//!
//! The engine carries what the caller said of its trace; ids and times are added here.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use isc_core::{
    api::Phase,
    engine::{Assignment, Event, Write, WriteResult},
    ids::{Address, AttemptId, Uid},
    life::Moment,
    status::has_ended,
    trace::Trace,
};
use isc_runtime::{
    amqp::Topology,
    trace::{Collector, Context, Exporter, KeyValue, Place, Span, SpanKind, TraceError, Tracer},
};

/// Makes the spans. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Tracer);

/// A ticket on its way to the broker.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    place: Place,
    start: SystemTime,
}

// === impl Spans ===

impl Spans {
    /// Of a watcher of that instance, with what sends them; without a collector none are made.
    ///
    /// # Errors
    /// See [`Tracer::new`].
    pub(crate) fn new(
        collector: Option<&Collector>,
        instance: &str,
    ) -> Result<(Self, Option<Exporter>), TraceError> {
        let names = [
            KeyValue::new("service.name", "isc-watcher"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("isc.instance", instance.to_owned()),
        ];
        let tracer = collector.map(|collector| Tracer::new(collector, names));
        let (tracer, exporter) = tracer.transpose()?.unzip();
        Ok((Self(tracer.unwrap_or_default()), exporter))
    }

    /// The context of a request's own span; without spans of ours it is the caller's.
    #[must_use]
    pub(crate) fn context(&self, uid: &Uid, trace: Option<&Arc<Trace>>) -> Option<Context> {
        self.place(uid, trace).map(|place| place.context)
    }

    fn place(&self, uid: &Uid, trace: Option<&Arc<Trace>>) -> Option<Place> {
        self.0
            .request(&uid.0, trace.and_then(|t| context(t)).as_ref())
    }

    /// A ticket is handed to the broker: it carries the context of that.
    #[must_use]
    pub(crate) fn sending(&self, request: &Context) -> Sending {
        Sending {
            place: self.0.child(request, false),
            start: SystemTime::now(),
        }
    }

    /// The broker answered. `error` is a word of a closed list.
    pub(crate) fn sent(
        &self,
        sending: Sending,
        (id, service): (&AttemptId, &str),
        topology: &Topology,
        error: Option<&'static str>,
    ) {
        let Sending { place, start } = sending;
        self.0.record(&place, || {
            let destination = format!("{}:{service}", topology.exchange());
            Span {
                name: format!("publish {destination}").into(),
                kind: SpanKind::Producer,
                start,
                end: SystemTime::now(),
                attributes: vec![
                    KeyValue::new("messaging.system", "rabbitmq"),
                    KeyValue::new("messaging.operation.name", "publish"),
                    KeyValue::new("messaging.operation.type", "send"),
                    KeyValue::new("messaging.destination.name", destination),
                    KeyValue::new(
                        "messaging.rabbitmq.destination.routing_key",
                        service.to_owned(),
                    ),
                    KeyValue::new("messaging.message.id", id.to_string()),
                    KeyValue::new("isc.attempt", i64::from(id.attempt)),
                ],
                error: error.map(Into::into),
            }
        });
    }

    /// An attempt was given to a worker: it waited until now.
    pub(crate) fn granted(&self, assignment: &Assignment, request: &Context, now: Duration) {
        self.0.record(&self.0.child(request, false), || Span {
            name: "queue".into(),
            kind: SpanKind::Internal,
            start: time(assignment.due, now),
            end: SystemTime::now(),
            attributes: vec![
                KeyValue::new("isc.service", assignment.service.to_string()),
                KeyValue::new("isc.attempt", i64::from(assignment.id.attempt)),
            ],
            error: None,
        });
    }

    /// A status write that began then was answered. With the end of a request, its own span ends.
    pub(crate) fn written(
        &self,
        write: &Write,
        queued: SystemTime,
        began: SystemTime,
        answer: &Event,
    ) {
        let place = self.place(&write.uid, write.trace.as_ref());
        let Some(place) = place.filter(|place| self.0.records(&place.context)) else {
            return;
        };
        let end = SystemTime::now();
        let refused = match answer {
            Event::Written(_, WriteResult::Ok(_)) => None,
            Event::Written(_, WriteResult::Conflict(_)) => Some("conflict"),
            Event::Written(_, WriteResult::Gone) => Some("gone"),
            _ => Some("retry"),
        };
        let phase = write.status.phase;
        self.0
            .record(&self.0.child(&place.context, false), || Span {
                name: "write status".into(),
                kind: SpanKind::Client,
                start: began,
                end,
                attributes: vec![KeyValue::new("isc.request.phase", word(phase))],
                error: refused.map(Into::into),
            });
        if refused.is_none() && has_ended(&write.status) {
            self.0.record(&place, || request(write, queued, end));
        }
    }
}

// === impl Sending ===

impl Sending {
    /// For the ticket.
    #[must_use]
    pub(crate) fn traceparent(&self) -> String {
        self.place.context.traceparent()
    }
}

/// The span of a whole request.
fn request(write: &Write, start: SystemTime, end: SystemTime) -> Span {
    let Write { uid, status, .. } = write;
    let reason = status.conditions.first().map(|first| first.reason.clone());
    let reason = reason.unwrap_or_default();
    let bad = matches!(status.phase, Some(Phase::Failed | Phase::Rejected));
    // Any word may be the service of one that was rejected, and names of spans are to be few.
    let accepted = status.phase != Some(Phase::Rejected);
    let name = match &*write.service {
        service if accepted && !service.is_empty() => format!("request {service}").into(),
        _ => "request".into(),
    };
    let mut attributes = of_address(uid, &write.address);
    attributes.extend([
        KeyValue::new("isc.service", write.service.to_string()),
        KeyValue::new("isc.request.phase", word(status.phase)),
        KeyValue::new("isc.request.reason", reason.clone()),
        KeyValue::new("isc.request.failed", i64::from(status.failed)),
        KeyValue::new("isc.request.lost", i64::from(status.lost)),
    ]);
    Span {
        name,
        kind: SpanKind::Server,
        start,
        end,
        attributes,
        error: bad.then(|| reason.into()),
    }
}

fn of_address(uid: &Uid, address: &Address) -> Vec<KeyValue> {
    vec![
        KeyValue::new("isc.request.uid", uid.to_string()),
        KeyValue::new("isc.request.kind", address.kind.to_string()),
        KeyValue::new("isc.request.name", address.name.to_string()),
        KeyValue::new("k8s.namespace.name", address.namespace.to_string()),
        KeyValue::new("isc.workspace", address.cluster.to_string()),
    ]
}

fn word(phase: Option<Phase>) -> String {
    phase.map(|phase| format!("{phase:?}")).unwrap_or_default()
}

/// Of what the engine carries.
fn context(trace: &Trace) -> Option<Context> {
    let state = trace.state.as_deref().unwrap_or_default();
    Context::from_bytes(trace.id, trace.span, trace.sampled, state)
}

/// A moment on the wall, to more than a second where it was seen by this process; `now` is on the engine's clock.
pub(crate) fn time(moment: Moment, now: Duration) -> SystemTime {
    match moment.mono {
        Some(mono) => SystemTime::now() - now.saturating_sub(mono),
        None => moment.wall.into(),
    }
}

#[cfg(test)]
mod tests;
