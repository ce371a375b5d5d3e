//! The spans of this worker: one per ticket that it takes and one per attempt that it runs.

use std::{collections::HashMap, time::SystemTime};

use isc_core::{
    ids::AttemptId,
    worker_session::{Settlement, TicketNo},
};
use isc_runtime::{
    amqp::Topology,
    trace::{Context, KeyValue, Place, Span, SpanKind, Tracer},
};

use crate::executor::{End, Job};

/// A span that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    place: Place,
    start: SystemTime,
    attributes: Vec<KeyValue>,
}

/// The tickets that are held at the broker and whose requests are recorded.
#[derive(Debug)]
pub(crate) struct Tickets {
    tracer: Tracer,
    topology: Topology,
    held: HashMap<TicketNo, (String, Begun)>,
}

// === impl Begun ===

impl Begun {
    fn new(tracer: &Tracer, below: &Context, attributes: Vec<KeyValue>) -> Self {
        Self {
            place: tracer.child(below, true),
            start: SystemTime::now(),
            attributes,
        }
    }

    /// An attempt begins; what its job does in turn goes below it.
    pub(crate) fn attempt(tracer: &Tracer, job: &mut Job) -> Option<Self> {
        let request = job.trace.take()?;
        let begun = Self::new(
            tracer,
            &request,
            vec![
                KeyValue::new("isc.request.uid", job.uid.clone()),
                KeyValue::new("isc.request.name", job.name.clone()),
                KeyValue::new("k8s.namespace.name", job.namespace.clone()),
                KeyValue::new("isc.workspace", job.cluster.clone()),
                KeyValue::new("isc.service", job.service.clone()),
                KeyValue::new("isc.attempt", i64::from(job.attempt)),
            ],
        );
        job.trace = Some(begun.place.context.clone());
        Some(begun)
    }

    /// The attempt has ended.
    pub(crate) fn ended(self, tracer: &Tracer, service: &str, end: &End) {
        let error = match end {
            End::Failed(failure) => Some(failure.reason.into()),
            End::Succeeded { .. } | End::Stopped => None,
        };
        let outcome = KeyValue::new("isc.outcome", end.as_str());
        let name = format!("attempt {service}");
        self.record(tracer, (name, SpanKind::Internal), outcome, error);
    }

    fn record(
        mut self,
        tracer: &Tracer,
        (name, kind): (String, SpanKind),
        last: KeyValue,
        error: Option<std::borrow::Cow<'static, str>>,
    ) {
        self.attributes.push(last);
        tracer.record(&self.place, || Span {
            name: name.into(),
            kind,
            start: self.start,
            end: SystemTime::now(),
            attributes: self.attributes,
            error,
        });
    }
}

// === impl Tickets ===

impl Tickets {
    /// None yet.
    pub(crate) fn new(tracer: Tracer, topology: Topology) -> Self {
        Self {
            tracer,
            topology,
            held: HashMap::new(),
        }
    }

    /// A ticket arrived.
    pub(crate) fn taken(
        &mut self,
        ticket: TicketNo,
        id: &AttemptId,
        (service, trace): (&str, Option<&Context>),
    ) {
        let Some(sent) = trace.filter(|sent| self.tracer.records(sent)) else {
            return;
        };
        let queue = self.topology.queue(service);
        let begun = Begun::new(
            &self.tracer,
            sent,
            vec![
                KeyValue::new("messaging.system", "rabbitmq"),
                KeyValue::new("messaging.operation.name", "process"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.destination.name", queue.clone()),
                KeyValue::new("messaging.message.id", id.to_string()),
                KeyValue::new("isc.attempt", i64::from(id.attempt)),
            ],
        );
        self.held.insert(ticket, (queue, begun));
    }

    /// A ticket goes back to the broker, this way or that.
    pub(crate) fn settled(&mut self, ticket: TicketNo, how: Settlement) {
        let Some((queue, begun)) = self.held.remove(&ticket) else {
            return;
        };
        let how = match how {
            Settlement::Done => "done",
            Settlement::StillRunning => "still_running",
            Settlement::Return => "returned",
        };
        let name = format!("process {queue}");
        let how = KeyValue::new("isc.settlement", how);
        begun.record(&self.tracer, (name, SpanKind::Consumer), how, None);
    }

    /// The broker has all of them again.
    pub(crate) fn lost(&mut self) {
        self.held.clear();
    }
}
