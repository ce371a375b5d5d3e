//! Life to status and back: what people and pipelines read, and what a restarted watcher reads.

mod mirror;
#[cfg(test)]
mod tests;
mod words;

use crate::{
    api::{Condition, Effective, Phase, RequestStatus},
    life::{Done, End, Life, Moment, State},
    reason::Reason,
    text,
};

pub use mirror::{Mirror, MirroredRun};

/// The condition that comes first: Unknown while live, then True or False.
pub const SUCCEEDED: &str = "Succeeded";
/// The condition that is True at every end, and absent before.
pub const FINISHED: &str = "Finished";
/// The longest message of a condition, bytes: whoever worded it, it is shown clean.
pub const MESSAGE_MAX: usize = 4096;

/// What a status says besides the life itself.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The instance that serves it, where several share the API.
    pub controller: Option<String>,
    /// The limits in force.
    pub effective: Option<Effective>,
    /// Why a waiting request waits.
    pub waiting_for: Option<Reason>,
    /// What it mirrors, when it is attached to an earlier request.
    pub mirror: Option<Mirror>,
}

/// What a status tells a watcher that did not write it.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovered {
    /// Nobody has decided on it yet.
    New,
    /// It was live.
    Live(Box<Life>),
    /// It ended, with that attempt.
    Ended {
        /// The attempt that ended it.
        attempt: u32,
        /// When, if it tells.
        completed: Option<jiff::Timestamp>,
    },
}

/// The whole status of a request.
#[must_use]
pub fn render(life: &Life, about: &About) -> RequestStatus {
    let summary = Summary::of(life, about);
    let completion = match &life.state {
        State::Done(done) => Some(done.at.wall),
        _ => None,
    };
    let rejected = summary.phase == Phase::Rejected;
    let started_running = life.started.is_some() && life.worker.is_some();
    let run = about.mirrored_run();
    let (started, worker, progress) = match run.filter(|_| !started_running) {
        Some(run) => (run.started, &run.worker, &run.progress),
        None => (life.started, &life.worker, &life.progress),
    };
    let (result, artifacts) = match &life.state {
        State::Done(Done {
            end: End::Succeeded { result, artifacts },
            ..
        }) => (result.clone(), artifacts.clone()),
        _ => (None, vec![]),
    };
    RequestStatus {
        observed_generation: about.generation,
        controller: about.controller.clone(),
        phase: Some(summary.phase),
        conditions: summary.conditions(life.queued, completion, about.generation),
        queued_time: (!rejected).then_some(life.queued.wall),
        first_start_time: life.first_started.map(|moment| moment.wall),
        start_time: started.map(|moment| moment.wall),
        completion_time: completion,
        attempt: (!rejected && (started_running || life.failed + life.lost > 0))
            .then(|| life.attempt()),
        failed: life.failed,
        lost: life.lost,
        worker: worker.as_ref().map(ToString::to_string),
        progress: progress.clone(),
        effective: about.effective.clone().filter(|_| !rejected),
        result,
        artifacts,
        attached_to: about.mirror.as_ref().map(|mirror| mirror.name.to_string()),
        previous_attempts: life.past.clone(),
        ..RequestStatus::default()
    }
}

/// Whether a status tells of a request that waits for its service, so that nobody has decided on it yet.
#[must_use]
pub fn is_undecided(status: &RequestStatus) -> bool {
    let reason = status.conditions.first().map(|first| &*first.reason);
    status.phase == Some(Phase::Queued)
        && status.effective.is_none()
        && reason == Some(Reason::ServiceMissing.as_str())
}

/// Whether a status is an end, whoever wrote it.
#[must_use]
pub fn has_ended(status: &RequestStatus) -> bool {
    let finished = |condition: &Condition| condition.kind == FINISHED && condition.status == "True";
    status.phase.is_some_and(is_end) || status.conditions.iter().any(finished)
}

fn is_end(phase: Phase) -> bool {
    match phase {
        Phase::Queued | Phase::Running | Phase::Cancelling => false,
        Phase::Succeeded | Phase::Failed | Phase::Rejected | Phase::Cancelled => true,
    }
}

/// What an earlier watcher's status means to this one. `now` stands in where a time is missing.
#[must_use]
pub fn recover(status: Option<&RequestStatus>, now: Moment) -> Recovered {
    let Some(status) = status else {
        return Recovered::New;
    };
    if has_ended(status) {
        return Recovered::Ended {
            attempt: status.attempt.unwrap_or(1),
            completed: status.completion_time,
        };
    }
    let Some(phase) = status.phase else {
        return Recovered::New;
    };
    let own = status.attached_to.is_none();
    let held = phase != Phase::Queued && own;
    Recovered::Live(Box::new(Life {
        state: State::Recovering,
        failed: status.failed,
        lost: status.lost,
        stop: (held && phase == Phase::Cancelling).then(|| words::why_stopped(status)),
        first_started: status
            .first_start_time
            .or(status.start_time.filter(|_| own))
            .map(Moment::told),
        queued: status.queued_time.map_or(now, Moment::told),
        started: status.start_time.filter(|_| held).map(Moment::told),
        worker: status.worker.as_deref().filter(|_| held).map(Into::into),
        progress: status.progress.clone().filter(|_| held),
        past: status.previous_attempts.clone(),
    }))
}

/// The phase that a status of this life would tell.
#[must_use]
pub fn phase(life: &Life) -> Phase {
    Summary::of(life, &About::default()).phase
}

/// The reason that a status of an ended life tells; none while it is live.
#[must_use]
pub fn reason(life: &Life) -> Option<Reason> {
    matches!(life.state, State::Done(_)).then(|| Summary::of(life, &About::default()).reason)
}

/// Whether two ends are the same one, whatever an API server made of the numbers inside a result.
#[must_use]
pub fn same_end(a: &RequestStatus, b: &RequestStatus) -> bool {
    let key = |status: &RequestStatus| {
        let reason = status
            .conditions
            .first()
            .map(|condition| condition.reason.clone());
        (
            status.phase,
            reason,
            status.attempt,
            status.worker.clone(),
            status.completion_time,
        )
    };
    key(a) == key(b)
}

/// Phase and condition of a life.
struct Summary {
    phase: Phase,
    status: &'static str,
    reason: Reason,
    message: String,
}

// === impl Summary ===

impl Summary {
    fn of(life: &Life, about: &About) -> Self {
        let unknown = |phase, reason, message| Self {
            phase,
            status: "Unknown",
            reason,
            message,
        };
        let cancelling = |worker, why| {
            unknown(
                Phase::Cancelling,
                Reason::Cancelling,
                words::stopping(worker, why),
            )
        };
        match (&life.state, life.stop) {
            (State::Done(done), _) => Self::of_end(&done.end),
            (State::Running { by } | State::Stopping { by, .. }, Some(why)) => {
                cancelling(Some(&*by.worker), why)
            }
            (State::Recovering, Some(why)) => cancelling(None, why),
            (State::Running { by } | State::Stopping { by, .. }, None) => unknown(
                Phase::Running,
                Reason::Running,
                format!("attempt {} runs on {}", life.attempt(), by.worker),
            ),
            (State::Recovering, None) if life.worker.is_some() => unknown(
                Phase::Running,
                Reason::Running,
                "waiting for the worker's next word".into(),
            ),
            (State::Backoff { .. }, _) => {
                unknown(Phase::Queued, Reason::Backoff, words::pausing(life))
            }
            // Nobody writes once more when the pause starts.
            (State::Saving { pause, .. }, _) if !pause.is_zero() => {
                unknown(Phase::Queued, Reason::Backoff, words::pausing(life))
            }
            (State::Behind { attached, .. }, _) => {
                let (phase, reason) = match (attached, about.mirrored_run()) {
                    (true, Some(_)) => (Phase::Running, Reason::Running),
                    (true, None) => (Phase::Queued, Reason::Attached),
                    (false, _) => (Phase::Queued, Reason::Replacing),
                };
                unknown(phase, reason, words::behind(about.mirror.as_ref()))
            }
            _ => {
                let reason = about.waiting_for.unwrap_or(Reason::Queued);
                unknown(Phase::Queued, reason, waiting_message(reason).into())
            }
        }
    }

    fn of_end(end: &End) -> Self {
        let bad = |phase, reason, message: &str| Self {
            phase,
            status: "False",
            reason,
            message: message.into(),
        };
        match end {
            End::Succeeded { .. } => Self {
                phase: Phase::Succeeded,
                status: "True",
                reason: Reason::Succeeded,
                message: String::new(),
            },
            End::Failed { reason, message } => bad(Phase::Failed, *reason, message),
            End::Rejected { reason, message } => bad(Phase::Rejected, *reason, message),
            End::Cancelled(Reason::Replaced) => bad(
                Phase::Cancelled,
                Reason::Replaced,
                "a newer request with the same idempotency key takes its place",
            ),
            End::Cancelled(_) | End::Foreign => bad(
                Phase::Cancelled,
                Reason::Cancelled,
                "the caller cancelled the request",
            ),
        }
    }

    fn conditions(
        &self,
        queued: Moment,
        completion: Option<jiff::Timestamp>,
        generation: Option<i64>,
    ) -> Vec<Condition> {
        let condition = |kind: &str, status: &str, reason: &str, message: &str| Condition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: text::clean(message, MESSAGE_MAX),
            last_transition_time: Some(completion.unwrap_or(queued.wall)),
            observed_generation: generation,
        };
        let mut conditions = vec![condition(
            SUCCEEDED,
            self.status,
            self.reason.as_str(),
            &self.message,
        )];
        if completion.is_some() {
            conditions.push(condition(FINISHED, "True", self.reason.as_str(), ""));
        }
        conditions
    }
}

fn waiting_message(reason: Reason) -> &'static str {
    match reason {
        Reason::NoWorkers => "no worker of this service is connected",
        Reason::Paused => "paused by the operator",
        Reason::ServiceMissing => "the service is not configured here now",
        _ => "waiting for a worker",
    }
}
