//! Between the core's words and the protocol's. No decisions.

use std::time::Duration;

use isc_core::{
    ids::{AttemptId, Uid},
    worker_session::{Event, Message, Outcome, Progress, Welcome},
};
use isc_proto::{
    PROTOCOL,
    v1::{self, watcher_message::Message as FromWatcher, worker_message::Message as ToWatcher},
};
use isc_runtime::{services::RESULT_MAX_BYTES_LIMIT, trace::Context};

use crate::executor::{End, Job};

const MESSAGE_MAX: usize = 4 * 1024;

/// How a job ended, as the protocol says it.
pub(crate) type Report = v1::outcome::Outcome;

/// What a greeting says of the process.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) worker: String,
    pub(crate) incarnation: String,
    pub(crate) services: Vec<String>,
    pub(crate) slots: u32,
}

/// A message of the watcher that lacks what it must have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Malformed;

pub(crate) fn message(message: Message<Report>, identity: &Identity) -> v1::WorkerMessage {
    let message = match message {
        Message::Hello {
            running,
            outcomes,
            greeting,
        } => ToWatcher::Hello(v1::Hello {
            protocol: PROTOCOL,
            worker: identity.worker.clone(),
            incarnation: identity.incarnation.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            services: identity.services.clone(),
            slots: identity.slots,
            running: running.iter().map(to_id).collect(),
            outcomes: outcomes.iter().map(to_id).collect(),
            greeting,
        }),
        Message::Heartbeat {
            seq,
            held,
            free,
            draining,
        } => ToWatcher::Heartbeat(v1::Heartbeat {
            seq,
            held: held.iter().map(to_id).collect(),
            free,
            draining,
        }),
        Message::Claim { id, service } => ToWatcher::Claim(v1::Claim {
            id: Some(to_id(&id)),
            service,
        }),
        Message::Outcome { id, outcome } => ToWatcher::Outcome(v1::Outcome {
            id: Some(to_id(&id)),
            outcome: Some(report(outcome)),
        }),
    };
    v1::WorkerMessage {
        message: Some(message),
    }
}

pub(crate) fn progress(id: &AttemptId, progress: Progress) -> v1::WorkerMessage {
    v1::WorkerMessage {
        message: Some(ToWatcher::Progress(v1::Progress {
            id: Some(to_id(id)),
            percent: progress.percent,
            message: progress.message,
        })),
    }
}

/// The event that a message of the watcher is.
pub(crate) fn event(message: v1::WatcherMessage) -> Result<Event<Job, Report>, Malformed> {
    Ok(match message.message.ok_or(Malformed)? {
        FromWatcher::Welcome(welcome) => Event::Welcome(Welcome {
            lease: Duration::from_millis(welcome.lease_ms),
            // A watcher that says 0 must not make a busy loop of us.
            heartbeat: Duration::from_millis(welcome.heartbeat_interval_ms.max(100)),
            stop: welcome.stop.iter().map(from_id).collect(),
        }),
        FromWatcher::HeartbeatAck(ack) => Event::HeartbeatAck { seq: ack.seq },
        FromWatcher::Assignment(assignment) => Event::Assigned {
            id: some_id(assignment.id.as_ref())?,
            assignment: job(assignment)?,
        },
        FromWatcher::Refusal(refusal) => {
            let id = some_id(refusal.id.as_ref())?;
            tracing::debug!("claim of {id} refused: {}", refusal.reason);
            Event::Refused { id }
        }
        FromWatcher::Cancel(cancel) => {
            let id = some_id(cancel.id.as_ref())?;
            tracing::info!(uid = %id.uid, attempt = id.attempt, "cancelled: {}", cancel.reason);
            Event::Cancel { id }
        }
        FromWatcher::Recorded(recorded) => Event::Recorded {
            id: some_id(recorded.id.as_ref())?,
        },
        FromWatcher::Stale(stale) => Event::Stale {
            id: some_id(stale.id.as_ref())?,
        },
        FromWatcher::Drain(v1::Drain {}) => Event::Drain,
    })
}

/// How a job's end is reported; `None` when it was stopped, where the reason for that counts.
pub(crate) fn end(end: End) -> Option<Report> {
    match end {
        End::Stopped => None,
        End::Succeeded { result_json } => Some(Report::Succeeded(v1::Succeeded {
            result_json,
            artifacts: Vec::new(),
        })),
        End::Failed(failure) => {
            let mut message = failure.message;
            message.truncate(message.floor_char_boundary(MESSAGE_MAX));
            Some(Report::Failed(v1::Failed {
                class: failure.class.into(),
                reason: failure.reason.into(),
                message,
            }))
        }
    }
}

fn report(outcome: Outcome<Report>) -> Report {
    match outcome {
        Outcome::Done(report) => report,
        Outcome::Cancelled => Report::Cancelled(v1::Cancelled {}),
        Outcome::Interrupted => Report::Interrupted(v1::Interrupted {
            message: "the worker is shutting down".into(),
        }),
    }
}

/// How long after the request's deadline a job is stopped by its worker, milliseconds.
const DEADLINE_MARGIN_MS: u64 = 2000;

fn job(assignment: v1::Assignment) -> Result<Job, Malformed> {
    let id = assignment.id.ok_or(Malformed)?;
    let address = assignment.address.unwrap_or_default();
    // The watcher stops a request at its deadline; this is for a watcher that is away then.
    let left = Some(assignment.time_left_ms).filter(|left| *left > 0);
    let left = left.map(|left| Duration::from_millis(left.saturating_add(DEADLINE_MARGIN_MS)));
    // Above that a report would not fit into a message.
    let result_max = assignment.result_max_bytes.min(RESULT_MAX_BYTES_LIMIT);
    Ok(Job {
        uid: id.uid,
        attempt: id.attempt,
        failed: assignment.failed,
        service: assignment.service,
        params_json: assignment.params_json,
        timeout: Duration::from_millis(assignment.timeout_ms),
        left,
        result_max: usize::try_from(result_max).unwrap_or(usize::MAX),
        cluster: address.cluster,
        namespace: address.namespace,
        name: address.name,
        requester: assignment.requester,
        idempotency_key: assignment.idempotency_key,
        trace: Context::parse(&assignment.traceparent, &assignment.tracestate),
    })
}

fn to_id(id: &AttemptId) -> v1::AttemptId {
    v1::AttemptId {
        uid: id.uid.to_string(),
        attempt: id.attempt,
    }
}

fn from_id(id: &v1::AttemptId) -> AttemptId {
    AttemptId {
        uid: Uid::new(&id.uid),
        attempt: id.attempt,
    }
}

fn some_id(id: Option<&v1::AttemptId>) -> Result<AttemptId, Malformed> {
    id.map(from_id).ok_or(Malformed)
}
