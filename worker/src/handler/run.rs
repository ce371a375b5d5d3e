//! The executor of handlers: time, cancellation, panics.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt as _;
use tokio::time::{sleep, timeout};

use super::{JobContext, typed::Handle};
use crate::{
    executor::{Control, End, Executor, Failure, Job, Stop},
    jobs,
};

/// Blocking work that goes on for longer after its handler has ended is told of.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the jobs of one service by a handler.
pub(crate) struct HandlerExecutor {
    handler: Arc<dyn Handle>,
    grace: Duration,
}

/// What a handler came to: a panic, or what it returned.
type Done = Result<Result<String, Failure>, Box<dyn Any + Send>>;

// === impl HandlerExecutor ===

impl HandlerExecutor {
    pub(super) fn new(handler: Arc<dyn Handle>, grace_seconds: u64) -> Self {
        let grace = Duration::from_secs(grace_seconds);
        Self { handler, grace }
    }

    async fn run_job(&self, mut job: Job, control: Control) -> End {
        let params = std::mem::take(&mut job.params_json);
        let context = JobContext::new(job, control.reports.clone());
        let end = self.follow(&params, &context, control).await;
        // Also for blocking work that goes on after its handler was dropped.
        context.tell();
        if timeout(PATIENCE, context.rest()).await.is_err() {
            tracing::warn!(
                "the handler has ended and what it runs with `blocking` has not; the job ends with that"
            );
            context.rest().await;
        }
        end
    }

    /// Runs the handler to its end, or drops it.
    async fn follow(&self, params: &str, context: &JobContext, mut control: Control) -> End {
        let job = context.job();
        let work = async { self.handler.call(params, context.clone())?.await };
        let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
        let told = tokio::select! {
            biased;
            done = &mut work => return ended(done, job.result_max),
            stop = control.stopped_beyond(Stop::No) => Some(stop),
            () = sleep(job.limit()) => None,
        };
        context.tell();
        let done = tokio::select! {
            biased;
            // First: it does not get another turn when the lease has ended.
            _ = control.stopped_beyond(Stop::Gently) => None,
            done = &mut work => Some(done),
            () = sleep(self.grace) => None,
        };
        match (told, done.map(|done| ended(done, job.result_max))) {
            (None, _) => job.out_of_time(),
            // Done all the same.
            (Some(_), Some(end @ End::Succeeded { .. })) => end,
            (Some(_), _) => End::Stopped,
        }
    }
}

impl Executor for HandlerExecutor {
    fn run<'a>(
        &'a self,
        job: Job,
        control: Control,
    ) -> Pin<Box<dyn Future<Output = End> + Send + 'a>> {
        Box::pin(self.run_job(job, control))
    }
}

fn ended(done: Done, result_max: usize) -> End {
    match done {
        Ok(Ok(result)) if result.len() > result_max => End::result_too_large(result_max),
        Ok(Ok(result_json)) => End::Succeeded { result_json },
        Ok(Err(failure)) => End::Failed(failure),
        Err(panic) => {
            tracing::error!("the handler panicked: {}", jobs::words_of(panic.as_ref()));
            End::permanent("JobFailed", "the handler panicked")
        }
    }
}
