//! Sentences of live statuses. Nothing in them changes while the state does not.

use super::Mirror;
use crate::{
    api::RequestStatus,
    life::{Life, Stop},
};

/// All reasons to stop.
const STOPS: [Stop; 3] = [Stop::Cancelled, Stop::Replaced, Stop::Deadline];

/// What a pause is for.
pub(super) fn pausing(life: &Life) -> String {
    let next = life.attempt();
    match life.past.last() {
        Some(past) if past.message.is_empty() => format!(
            "attempt {} failed ({}): attempt {next} follows after a pause",
            past.attempt, past.reason
        ),
        Some(past) => format!(
            "attempt {} failed ({}: {}): attempt {next} follows after a pause",
            past.attempt, past.reason, past.message
        ),
        None => format!("attempt {next} follows after a pause"),
    }
}

/// Whom it waits for.
pub(super) fn behind(mirror: Option<&Mirror>) -> String {
    let Some(Mirror { name, run }) = mirror else {
        return "waiting until the earlier request with the same idempotency key has stopped"
            .into();
    };
    let worker = run.as_ref().and_then(|run| run.worker.as_ref());
    worker.map_or_else(
        || format!("attached to {name}"),
        |worker| format!("attached to {name}, which runs on {worker}"),
    )
}

/// Who was told to stop, and why.
pub(super) fn stopping(worker: Option<&str>, why: Stop) -> String {
    let why = cause(why);
    match worker {
        Some(worker) => format!("{worker} was told to stop: {why}"),
        None => format!("waiting for the worker to stop: {why}"),
    }
}

/// Why a request is being stopped, as its status tells: the cause is what its message ends with. An
/// older status tells none; then it was the caller.
pub(super) fn why_stopped(status: &RequestStatus) -> Stop {
    let message = status
        .conditions
        .first()
        .map(|first| first.message.as_str());
    let told = |why: &Stop| message.is_some_and(|message| message.ends_with(cause(*why)));
    STOPS.into_iter().find(told).unwrap_or(Stop::Cancelled)
}

fn cause(why: Stop) -> &'static str {
    match why {
        Stop::Cancelled => "the caller cancelled the request",
        Stop::Replaced => "a newer request with the same idempotency key takes its place",
        Stop::Deadline => "its deadline has passed",
    }
}
