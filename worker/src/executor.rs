//! What an executor is.
//!
//! An executor runs one job to its end and says how it ended. It must stop when it is told to, must
//! leave nothing running behind when its future ends or is dropped, and must not block the runtime.

use std::{future::Future, pin::Pin, time::Duration};

use isc_core::{ids::AttemptId, worker_session::Progress};
use isc_proto::v1::FailureClass;
use isc_runtime::{services, trace::Context};
use tokio::sync::{mpsc, watch};

pub use crate::failure::Failure;

/// The longest message of a report, bytes; what is over that is cut off.
const MESSAGE_MAX: usize = 1024;

/// One attempt of one request, as its executor sees it.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// The request's UID.
    pub uid: String,
    /// Counted from 1.
    pub attempt: u32,
    /// Attempts that failed before. UID and this number together name what runs outside.
    pub failed: u32,
    /// The service.
    pub service: String,
    /// A JSON object as text.
    pub params_json: String,
    /// How long an attempt may run; see [`Job::limit`].
    pub timeout: Duration,
    /// How long the request may still take in all; `None` = no limit.
    pub left: Option<Duration>,
    /// The largest result, bytes.
    pub result_max: usize,
    /// The requester's workspace.
    pub cluster: String,
    /// The request's namespace.
    pub namespace: String,
    /// The request's name.
    pub name: String,
    /// Who asks.
    pub requester: String,
    /// The caller's own key, empty when it gave none.
    pub idempotency_key: String,
    /// The trace that it is part of: what it does in turn belongs below this span.
    pub trace: Option<Context>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With a JSON object as text, or without a result.
    Succeeded {
        /// Empty when there is none.
        result_json: String,
    },
    /// With a failure.
    Failed(Failure),
    /// Because it was told to stop.
    Stopped,
}

/// How urgently a job is to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// It may take its grace.
    Gently,
    /// At once.
    Now,
}

/// A job's connection to the worker.
#[derive(Clone, Debug)]
pub struct Control {
    /// Rises when the job is to stop.
    pub stop: watch::Receiver<Stop>,
    /// Where progress goes.
    pub reports: Reports,
}

/// Where a job's progress goes. Only the newest matters to the receiver.
#[derive(Clone, Debug)]
pub struct Reports {
    id: AttemptId,
    to: mpsc::Sender<(AttemptId, Progress)>,
}

/// Runs jobs of one service.
pub trait Executor: Send + Sync + 'static {
    /// Runs a job to its end.
    ///
    /// # Cancellation
    /// Dropping the future kills the job at once.
    fn run<'a>(
        &'a self,
        job: Job,
        control: Control,
    ) -> Pin<Box<dyn Future<Output = End> + Send + 'a>>;

    /// Whether a job's work is done in this very process, as it is unless an executor says otherwise.
    ///
    /// When the lease ends and such a job does not end with it, nothing but the end of the worker's
    /// process can be relied on to stop it: the warden kills the worker then.
    fn in_process(&self) -> bool {
        true
    }
}

// === impl Job ===

impl Job {
    /// The first attempt of a request that nobody made: as a service file without limits has it.
    pub(crate) fn alone(service: &str, params_json: String) -> Self {
        let local = || String::from("local");
        Self {
            uid: local(),
            attempt: 1,
            failed: 0,
            service: service.to_owned(),
            params_json,
            timeout: Duration::from_secs(services::DEFAULT_TIMEOUT_SECONDS),
            left: None,
            result_max: services::DEFAULT_RESULT_MAX_BYTES as usize,
            cluster: local(),
            namespace: local(),
            name: local(),
            requester: local(),
            idempotency_key: String::new(),
            trace: None,
        }
    }

    /// How long it may run: as long as neither the attempt's time nor the request's has run out.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.left
            .map_or(self.timeout, |left| left.min(self.timeout))
    }

    /// How it ends when it has run for that long.
    #[must_use]
    pub fn out_of_time(&self) -> End {
        let limit = self.limit();
        let (class, reason) = if limit < self.timeout {
            (FailureClass::Deadline, "DeadlineExceeded")
        } else {
            (FailureClass::TimedOut, "TimedOut")
        };
        let message = format!("not done within {} s", limit.as_secs_f32());
        End::failed(class, reason, message)
    }
}

// === impl End ===

impl End {
    /// A failure that another try does not help.
    #[must_use]
    pub fn permanent(reason: &'static str, message: impl Into<String>) -> Self {
        Self::failed(FailureClass::Permanent, reason, message)
    }

    /// A failure.
    #[must_use]
    pub fn failed(class: FailureClass, reason: &'static str, message: impl Into<String>) -> Self {
        Self::Failed(Failure {
            class,
            reason,
            message: message.into(),
        })
    }

    pub(crate) fn result_too_large(max: usize) -> Self {
        let message = format!("the result has more than {max} bytes");
        Self::permanent("ResultTooLarge", message)
    }

    /// A word for labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "succeeded",
            Self::Failed(failure) => failure.reason,
            Self::Stopped => "stopped",
        }
    }
}

// === impl Reports ===

impl Reports {
    /// Reports of one attempt.
    #[must_use]
    pub fn new(id: AttemptId, to: mpsc::Sender<(AttemptId, Progress)>) -> Self {
        Self { id, to }
    }

    /// Hands one report on, cut to what may be said; waits while the receiver is behind.
    pub async fn send(&self, mut progress: Progress) {
        progress.percent = progress.percent.min(100);
        let message = &mut progress.message;
        message.truncate(message.floor_char_boundary(MESSAGE_MAX));
        // Nobody listens any more: the job's future is about to be dropped.
        let _gone = self.to.send((self.id.clone(), progress)).await;
    }
}

// === impl Control ===

impl Control {
    /// Resolves when the job is to stop with more urgency than `known`. Pends for ever when it is not.
    pub async fn stopped_beyond(&mut self, known: Stop) -> Stop {
        let stop = self.stop.wait_for(|stop| *stop > known).await;
        match stop.map(|stop| *stop) {
            Ok(stop) => stop,
            // Whoever could ask for it is gone; the job's future is dropped next.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use isc_core::ids::Uid;

    use super::*;

    #[tokio::test]
    async fn a_report_is_cut_to_what_may_be_said() {
        let (to, mut sent) = mpsc::channel(1);
        let id = AttemptId {
            uid: Uid::new("a"),
            attempt: 1,
        };
        let progress = Progress {
            percent: 250,
            message: format!("x{}", "ä".repeat(MESSAGE_MAX)),
        };
        Reports::new(id, to).send(progress).await;
        let (_, progress) = sent.recv().await.unwrap();
        assert_eq!(progress.percent, 100);
        assert_eq!(progress.message.len(), MESSAGE_MAX - 1);
    }
}
