//! Between the wire's types and the engine's. Everything from the wire is checked here, once.

use isc_core::{
    api::{Artifact, Progress},
    engine::{Assignment, Event, Hello, ToWorker},
    ids::{AttemptId, Holder, SessionId, Uid},
    life::{FailureClass, Outcome},
    reason::Reason,
};
use isc_proto::{
    MESSAGE_MAX_BYTES, PROTOCOL,
    v1::{self, outcome, watcher_message::Message as ToWire, worker_message::Message as FromWire},
};
use serde_json::{Map, Value};

/// The longest message of a progress report that is kept, bytes.
const PROGRESS_MESSAGE_MAX: usize = 1024;
/// The longest message of a failure that is kept, bytes.
const FAILURE_MESSAGE_MAX: usize = 4096;
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
    let name = |text: String, field| match text.len() {
        1..=NAME_MAX => Ok(text.into()),
        _ => Err(WireError::Field(field)),
    };
    let holder = Holder {
        worker: name(hello.worker, "worker")?,
        incarnation: name(hello.incarnation, "incarnation")?,
    };
    Ok(Hello {
        holder,
        services: hello.services.into_iter().map(Into::into).collect(),
        slots: hello.slots,
        running: hello.running.into_iter().map(attempt_id).collect(),
        outcomes: hello.outcomes.into_iter().map(attempt_id).collect(),
        greeting: hello.greeting,
    })
}

/// Any later message.
///
/// # Errors
/// When a part is missing, or it is another Hello.
pub(crate) fn event(session: SessionId, message: v1::WorkerMessage) -> Result<Event, WireError> {
    let id = |id: Option<v1::AttemptId>| id.map(attempt_id).ok_or(WireError::Field("id"));
    match message.message.ok_or(WireError::Field("message"))? {
        FromWire::Hello(_) => Err(WireError::Order),
        FromWire::Heartbeat(v1::Heartbeat {
            seq,
            held,
            free,
            draining,
        }) => {
            let held = held.into_iter().map(attempt_id).collect();
            Ok(Event::Heartbeat {
                session,
                seq,
                held,
                free,
                draining,
            })
        }
        FromWire::Claim(claim) => Ok(Event::Claim(session, id(claim.id)?)),
        FromWire::Progress(progress) => {
            let at = id(progress.id)?;
            let message = cut(progress.message, PROGRESS_MESSAGE_MAX);
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

fn outcome(wire: outcome::Outcome) -> Outcome {
    match wire {
        outcome::Outcome::Succeeded(succeeded) => match result(&succeeded.result_json) {
            Ok(result) => {
                let artifacts = succeeded.artifacts.into_iter().map(artifact).collect();
                Outcome::Succeeded { result, artifacts }
            }
            Err(error) => Outcome::Failed {
                class: FailureClass::Permanent,
                reason: Reason::InvalidResult,
                message: format!("the result is not a JSON object: {error}"),
            },
        },
        outcome::Outcome::Failed(failed) => Outcome::Failed {
            class: match failed.class() {
                v1::FailureClass::Retryable => FailureClass::Retryable,
                v1::FailureClass::Invalid => FailureClass::Invalid,
                v1::FailureClass::TimedOut => FailureClass::TimedOut,
                v1::FailureClass::Deadline => FailureClass::Deadline,
                v1::FailureClass::Permanent | v1::FailureClass::Unspecified => {
                    FailureClass::Permanent
                }
            },
            reason: Reason::of_failure(&failed.reason),
            message: cut(failed.message, FAILURE_MESSAGE_MAX),
        },
        outcome::Outcome::Cancelled(_) => Outcome::Cancelled,
        outcome::Outcome::Interrupted(_) => Outcome::Interrupted,
    }
}

fn result(json: &str) -> Result<Option<Map<String, Value>>, serde_json::Error> {
    if json.is_empty() {
        Ok(None)
    } else {
        serde_json::from_str(json).map(Some)
    }
}

fn artifact(wire: v1::Artifact) -> Artifact {
    let v1::Artifact {
        name,
        uri,
        digest,
        media_type,
        size,
    } = wire;
    Artifact {
        name,
        uri,
        digest,
        media_type,
        size,
    }
}

fn attempt_id(wire: v1::AttemptId) -> AttemptId {
    AttemptId {
        uid: Uid(wire.uid.into()),
        attempt: wire.attempt,
    }
}

/// Cuts at a character's border and marks it.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - 4));
        text.push_str(" ...");
    }
    text
}

/// A message to a worker.
#[must_use]
pub(crate) fn to_wire(message: ToWorker) -> v1::WatcherMessage {
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
        ToWorker::Assignment(assignment) => ToWire::Assignment(to_assignment(&assignment)),
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

fn to_assignment(assignment: &Assignment) -> v1::Assignment {
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
        traceparent: String::new(),
        result_max_bytes: assignment.result_max_bytes,
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
