//! A handler in a test: as a worker runs it, without a worker, broker or watcher.
//!
//! ```
//! use isc_worker::{Failure, JobContext, testing::{Ended, Trial}};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Add {
//!     a: i64,
//!     b: i64,
//! }
//!
//! #[derive(Debug, PartialEq, Serialize, JsonSchema)]
//! struct Sum {
//!     sum: i64,
//! }
//!
//! async fn add(params: Add, job: JobContext) -> Result<Sum, Failure> {
//!     job.progress(50, "half way").await;
//!     Ok(Sum { sum: params.a + params.b })
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let report = Trial::new(json!({"a": 1, "b": 2})).run(add).await;
//! assert_eq!(report.ended, Ended::Succeeded(Sum { sum: 3 }));
//! assert_eq!(report.progress, [(50, "half way".to_owned())]);
//!
//! let report = Trial::new(json!({"a": 1})).run(add).await;
//! assert_eq!(report.failure().reason, "InvalidParams");
//! # });
//! ```

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use isc_runtime::services;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    alone,
    executor::{End, Failure, Job},
    handler::{Handlers, JobContext},
};

/// The name under which the handler is run.
const SERVICE: &str = "trial";

type Boxed = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;

/// One attempt of a request, to be run.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The attempt: what a test changes in it, the handler finds. At first it is the first attempt, with the
    /// limits of a service file that names none.
    pub job: Job,
    grace_seconds: u64,
    cancel_at: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<R> {
    /// How it ended.
    pub ended: Ended<R>,
    /// What it reported, in order.
    pub progress: Vec<(u32, String)>,
}

/// How a handler ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended<R> {
    /// With its result.
    Succeeded(R),
    /// With a failure: its own, or one that the worker makes of a panic, of parameters that do not fit, of a
    /// result that cannot be told, or of a time that ran out.
    Failed(Failure),
    /// Because it was told to stop.
    Stopped,
}

// === impl Trial ===

impl Trial {
    /// A request with these parameters.
    ///
    /// # Panics
    /// When they cannot be written as JSON.
    pub fn new(params: impl Serialize) -> Self {
        let params = serde_json::to_string(&params);
        Self {
            job: Job::alone(SERVICE, params.expect("parameters can be written as JSON")),
            grace_seconds: services::DEFAULT_GRACE_SECONDS,
            cancel_at: None,
        }
    }

    /// The time that the attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.job.timeout = timeout;
        self
    }

    /// The service's `graceSeconds`.
    #[must_use]
    pub fn grace_seconds(mut self, seconds: u64) -> Self {
        self.grace_seconds = seconds;
        self
    }

    /// Tells the job to stop as soon as it has reported that percentage or more; with 0, as soon as it waits
    /// for something.
    #[must_use]
    pub fn cancel_at(mut self, percent: u32) -> Self {
        self.cancel_at = Some(percent);
        self
    }

    /// Runs a handler to its end.
    ///
    /// # Cancellation
    /// Dropping the future drops the handler where it waits.
    pub async fn run<P, R, F>(
        self,
        handler: impl Fn(P, JobContext) -> F + Send + Sync + 'static,
    ) -> Report<R>
    where
        P: DeserializeOwned + JsonSchema + 'static,
        R: Serialize + JsonSchema + Send + 'static,
        F: Future<Output = Result<R, Failure>> + Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let handlers = Handlers::new().on(SERVICE, keeping(handler, result.clone()));
        let file = services::Handler {
            grace_seconds: self.grace_seconds,
        };
        let executor = handlers.executor(SERVICE, &file);
        let executor = executor.expect("it was entered above");
        let stop = CancellationToken::new();
        if self.cancel_at == Some(0) {
            stop.cancel();
        }
        let mut progress = Vec::new();
        let end = alone::run(&executor, self.job, &stop, |report| {
            if self
                .cancel_at
                .is_some_and(|percent| report.percent >= percent)
            {
                stop.cancel();
            }
            progress.push((report.percent, report.message));
        })
        .await;
        let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = match (end, result) {
            (End::Succeeded { .. }, Some(result)) => Ended::Succeeded(result),
            (End::Failed(failure), _) => Ended::Failed(failure),
            (End::Stopped | End::Succeeded { .. }, _) => Ended::Stopped,
        };
        Report { ended, progress }
    }
}

/// The handler with its result as JSON, and the result itself kept aside.
fn keeping<P, R, F>(
    handler: impl Fn(P, JobContext) -> F + Send + Sync + 'static,
    kept: Arc<Mutex<Option<R>>>,
) -> impl Fn(P, JobContext) -> Boxed + Send + Sync + 'static
where
    P: 'static,
    R: Serialize + Send + 'static,
    F: Future<Output = Result<R, Failure>> + Send + 'static,
{
    move |params, job| {
        let (running, kept) = (handler(params, job), kept.clone());
        let keep = async move {
            let result = running.await?;
            let json = serde_json::to_value(&result).map_err(Failure::permanent)?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            Ok(json)
        };
        Box::pin(keep) as Boxed
    }
}

// === impl Report ===

impl<R: fmt::Debug> Report<R> {
    /// The result of a job that must have succeeded.
    ///
    /// # Panics
    /// When it has not.
    #[must_use]
    #[track_caller]
    pub fn result(self) -> R {
        match self.ended {
            Ended::Succeeded(result) => result,
            other => unexpected("succeeded", &other),
        }
    }

    /// The failure of a job that must have failed.
    ///
    /// # Panics
    /// When it has not.
    #[must_use]
    #[track_caller]
    pub fn failure(self) -> Failure {
        match self.ended {
            Ended::Failed(failure) => failure,
            other => unexpected("failed", &other),
        }
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "it is for tests")]
fn unexpected<R: fmt::Debug>(wanted: &str, ended: &Ended<R>) -> ! {
    panic!("the job must have {wanted}, and it has ended so: {ended:?}")
}
