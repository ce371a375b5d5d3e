//! What a handler finds beside its parameters, and what it may do.

use std::{sync::Arc, time::Duration};

use isc_core::worker_session::Progress;
use isc_runtime::trace::Context;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::executor::{Job, Reports};

/// One attempt of one request, as its handler sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct JobContext {
    job: Arc<Job>,
    reports: Reports,
    told: CancellationToken,
    blocking: TaskTracker,
}

// === impl JobContext ===

impl JobContext {
    pub(super) fn new(job: Job, reports: Reports) -> Self {
        Self {
            job: Arc::new(job),
            reports,
            told: CancellationToken::new(),
            blocking: TaskTracker::new(),
        }
    }

    /// The request's UID: the same over all attempts, so name after it what the job makes outside.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.job.uid
    }

    /// The number of this attempt, from 1. It only grows: a place outside that has seen a larger one can
    /// refuse this one.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// How many attempts failed before. It grows only after a failure, so UID and this number together name
    /// work that an attempt may have left half done when its worker vanished.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.job.failed
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.job.service
    }

    /// The workspace of the request.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.job.cluster
    }

    /// The namespace of the request.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.job.namespace
    }

    /// The name of the request.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.job.name
    }

    /// Who asked.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.job.requester
    }

    /// The caller's own key, when it gave one.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        Some(self.job.idempotency_key.as_str()).filter(|key| !key.is_empty())
    }

    /// The trace that the job is part of, for calls that it makes in turn: the header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.job.trace.as_ref().map(Context::traceparent)
    }

    /// The header `tracestate` that goes with it.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        let state = self.job.trace.as_ref()?.state.to_string();
        Some(state).filter(|state| !state.is_empty())
    }

    /// How long this attempt may take in all.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.job.limit()
    }

    /// Says how far the job is: a percentage, at most 100, and a word for people, at most 1 KiB. Both are
    /// shown in `status.progress` a moment later, for everybody who can read the request.
    ///
    /// Report as often as you like: only the newest counts. It waits when very many reports are on the way.
    pub async fn progress(&self, percent: u32, message: impl Into<String>) {
        let message = message.into();
        self.reports.send(Progress { percent, message }).await;
    }

    /// Resolves when the job is to stop: the request was cancelled or deleted, its time is over, or the
    /// worker has to go.
    ///
    /// A handler that does not return within the service's `graceSeconds` then is dropped where it waits. It
    /// is dropped at once, without being told, when the worker's lease has ended.
    ///
    /// ```
    /// use isc_worker::{Failure, JobContext};
    ///
    /// async fn patient(_: serde_json::Value, job: JobContext) -> Result<(), Failure> {
    ///     tokio::select! {
    ///         () = job.cancelled() => {
    ///             // Here is the time to undo what was begun.
    ///             Err(Failure::stopped())
    ///         }
    ///         () = tokio::time::sleep(std::time::Duration::from_secs(5)) => Ok(()),
    ///     }
    /// }
    /// ```
    pub async fn cancelled(&self) {
        self.told.cancelled().await;
    }

    /// Whether the job is to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.told.is_cancelled()
    }

    /// Runs work that blocks (files, a library without `async`, much to compute) on a thread of its own.
    ///
    /// Such work cannot be stopped from outside, so **the job has not ended before it has**, whatever
    /// becomes of the handler: let it look at [`JobContext::is_cancelled`] now and then. Should the worker's
    /// lease end meanwhile, the warden kills the whole process, and all jobs in it.
    ///
    /// ```
    /// use isc_worker::{Failure, JobContext};
    ///
    /// async fn count(_: serde_json::Value, job: JobContext) -> Result<(), Failure> {
    ///     let inside = job.clone();
    ///     let sum = job.blocking(move || (0..1000_u64).take_while(|_| !inside.is_cancelled()).sum::<u64>());
    ///     job.progress(100, format!("counted to {}", sum.await)).await;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    /// When the work does.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let span = tracing::Span::current();
        let work = move || span.in_scope(work);
        match self.blocking.spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_) => std::future::pending().await,
            },
        }
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }

    pub(super) fn tell(&self) {
        self.told.cancel();
    }

    /// Resolves when nothing of [`JobContext::blocking`] runs any more.
    pub(super) async fn rest(&self) {
        self.blocking.close();
        self.blocking.wait().await;
    }
}
