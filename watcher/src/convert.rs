//! Between the wire's types and the engine's. Everything from the wire is checked here, once.

mod outcomes;

use isc_core::{
    api::Progress,
    engine::{Assignment, Event, Hello, ToWorker},
    ids::{AttemptId, Holder, SessionId, Uid},
    text,
};
use isc_proto::{
    LISTED_MAX, MESSAGE_MAX_BYTES, PROTOCOL, SLOTS_MAX,
    ticket::UID_MAX,
    v1::{self, watcher_message::Message as ToWire, worker_message::Message as FromWire},
};
use isc_runtime::trace::Context;

use outcomes::outcome;

/// The longest message of a progress report that is kept, bytes.
const PROGRESS_MESSAGE_MAX: usize = 1024;
/// The longest name in a greeting, bytes.
const NAME_MAX: usize = 253;

/// Why a worker's message cannot be used. The stream is ended with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The first message must be Hello, and no other.
    #[error("the first message of a session must be Hello, and only the first")]
    Order,
    /// Another protocol.
    #[error(
        "protocol {0} is not spoken here, this watcher speaks {PROTOCOL}: bring worker and watcher to one version"
    )]
    Protocol(u32),
    /// A part is missing or wrong.
    #[error("the message lacks a usable `{0}`")]
    Field(&'static str),
}

// === impl WireError ===

impl WireError {
    /// The word that counts it.
    #[must_use]
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Protocol(_) => "protocol",
            Self::Field(_) => "malformed",
        }
    }
}

/// A greeting.
///
/// # Errors
/// When it is another message, speaks another protocol, or names no worker.
pub(crate) fn hello(message: v1::WorkerMessage) -> Result<Hello, WireError> {
    let Some(FromWire::Hello(hello)) = message.message else {
        return Err(WireError::Order);
    };
    if hello.protocol != PROTOCOL {
        return Err(WireError::Protocol(hello.protocol));
    }
    let name = |name: String, field| match name.len() {
        // It stands in statuses and log lines.
        1..=NAME_MAX if text::is_plain(&name) => Ok(name.into()),
        _ => Err(WireError::Field(field)),
    };
    let holder = Holder {
        worker: name(hello.worker, "worker")?,
        incarnation: name(hello.incarnation, "incarnation")?,
    };
    if hello.slots > SLOTS_MAX {
        return Err(WireError::Field("slots"));
    }
    if hello.services.len() > LISTED_MAX {
        return Err(WireError::Field("services"));
    }
    let services = hello.services.into_iter();
    Ok(Hello {
        holder,
        services: services
            .map(|service| name(service, "services"))
            .collect::<Result<_, _>>()?,
        slots: hello.slots,
        running: attempt_ids(hello.running, "running")?,
        outcomes: attempt_ids(hello.outcomes, "outcomes")?,
        greeting: hello.greeting,
    })
}

/// Any later message.
///
/// # Errors
/// When a part is missing, or it is another Hello.
pub(crate) fn event(session: SessionId, message: v1::WorkerMessage) -> Result<Event, WireError> {
    let id = |id: Option<v1::AttemptId>| attempt_id(id.ok_or(WireError::Field("id"))?, "id");
    match message.message.ok_or(WireError::Field("message"))? {
        FromWire::Hello(_) => Err(WireError::Order),
        FromWire::Heartbeat(v1::Heartbeat {
            seq,
            held,
            free,
            draining,
        }) => Ok(Event::Heartbeat {
            session,
            seq,
            held: attempt_ids(held, "held")?,
            free: free.min(SLOTS_MAX),
            draining,
        }),
        FromWire::Claim(claim) => Ok(Event::Claim(session, id(claim.id)?)),
        FromWire::Progress(progress) => {
            let at = id(progress.id)?;
            let message = text::clean(&progress.message, PROGRESS_MESSAGE_MAX);
            Ok(Event::Progress(
                session,
                at,
                Progress {
                    percent: progress.percent.min(100),
                    message,
                },
            ))
        }
        FromWire::Outcome(report) => {
            let at = id(report.id)?;
            Ok(Event::Outcome(
                session,
                at,
                outcome(report.outcome.ok_or(WireError::Field("outcome"))?),
            ))
        }
    }
}

fn attempt_ids(wire: Vec<v1::AttemptId>, field: &'static str) -> Result<Vec<AttemptId>, WireError> {
    if wire.len() > LISTED_MAX {
        return Err(WireError::Field(field));
    }
    let ids = wire.into_iter();
    ids.map(|id| attempt_id(id, field)).collect()
}

fn attempt_id(wire: v1::AttemptId, field: &'static str) -> Result<AttemptId, WireError> {
    match wire.uid.len() {
        1..=UID_MAX if text::is_plain(&wire.uid) => Ok(AttemptId {
            uid: Uid(wire.uid.into()),
            attempt: wire.attempt,
        }),
        _ => Err(WireError::Field(field)),
    }
}

/// A message to a worker. An assignment carries the context of the request's span.
#[must_use]
pub(crate) fn to_wire(message: ToWorker, trace: Option<&Context>) -> v1::WatcherMessage {
    let id = |id: AttemptId| Some(wire_id(&id));
    let message = match message {
        ToWorker::Welcome {
            instance,
            lease,
            heartbeat,
            stop,
        } => ToWire::Welcome(v1::Welcome {
            instance: instance.to_string(),
            lease_ms: millis(lease),
            heartbeat_interval_ms: millis(heartbeat),
            limits: Some(v1::Limits {
                message_bytes: u32::try_from(MESSAGE_MAX_BYTES).unwrap_or(u32::MAX),
            }),
            stop: stop.iter().map(wire_id).collect(),
        }),
        ToWorker::HeartbeatAck(seq) => ToWire::HeartbeatAck(v1::HeartbeatAck { seq }),
        ToWorker::Assignment(assignment) => ToWire::Assignment(to_assignment(&assignment, trace)),
        ToWorker::Refusal(at, why) => ToWire::Refusal(v1::Refusal {
            id: id(at),
            reason: why.into(),
        }),
        ToWorker::Cancel(at, why) => ToWire::Cancel(v1::Cancel {
            id: id(at),
            reason: why.into(),
        }),
        ToWorker::Recorded(at) => ToWire::Recorded(v1::Recorded { id: id(at) }),
        ToWorker::Stale(at) => ToWire::Stale(v1::Stale { id: id(at) }),
        ToWorker::Drain => ToWire::Drain(v1::Drain {}),
    };
    v1::WatcherMessage {
        message: Some(message),
    }
}

fn to_assignment(assignment: &Assignment, trace: Option<&Context>) -> v1::Assignment {
    v1::Assignment {
        id: Some(wire_id(&assignment.id)),
        failed: assignment.failed,
        service: assignment.service.to_string(),
        params_json: assignment.params.to_string(),
        timeout_ms: millis(assignment.timeout),
        time_left_ms: assignment.time_left.map_or(0, |left| millis(left).max(1)),
        address: Some(v1::Address {
            cluster: assignment.address.cluster.to_string(),
            namespace: assignment.address.namespace.to_string(),
            name: assignment.address.name.to_string(),
        }),
        requester: assignment.requester.to_string(),
        idempotency_key: assignment.idempotency_key.to_string(),
        traceparent: trace.map(Context::traceparent).unwrap_or_default(),
        result_max_bytes: assignment.result_max_bytes,
        tracestate: trace
            .map(|trace| trace.state.to_string())
            .unwrap_or_default(),
    }
}

fn wire_id(id: &AttemptId) -> v1::AttemptId {
    v1::AttemptId {
        uid: id.uid.to_string(),
        attempt: id.attempt,
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
