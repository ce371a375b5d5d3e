//! Handlers: services that are code of this very program.
//!
//! | module | owns |
//! |---|---|
//! | `context` | what a handler finds and may do beside its parameters |
//! | `typed` | a handler behind its types: parameters from JSON, results to JSON |
//! | `run` | the executor: time, cancellation, panics |
//! | `schema` | the schemas of a handler's types |

mod context;
mod run;
mod schema;
#[cfg(test)]
mod tests;
mod typed;

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use isc_runtime::services::{Handler, Runs, Service};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::executor::Failure;
pub use context::JobContext;
pub(crate) use run::HandlerExecutor;
pub(crate) use schema::Schemas;
use typed::{Handle, Typed};

/// The handlers of a program, each under the name of the service that it runs.
///
/// ```
/// use isc_worker::{Failure, Handlers, JobContext};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Digest {
///     digest: String,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Signed {
///     signature: String,
/// }
///
/// async fn sign(params: Digest, _job: JobContext) -> Result<Signed, Failure> {
///     let hex = params.digest.strip_prefix("sha256:");
///     let hex = hex.ok_or_else(|| Failure::invalid("digest must start with sha256:"))?;
///     Ok(Signed { signature: hex.chars().rev().collect() })
/// }
///
/// // What handlers share, they get by way of a closure.
/// let greeting = "hello";
/// let handlers = Handlers::new()
///     .on("sign", sign)
///     .on("greet", move |_anything: serde_json::Value, job: JobContext| async move {
///         job.progress(50, greeting).await;
///         Ok(())
///     });
/// ```
#[derive(Clone, Default)]
pub struct Handlers {
    by_service: BTreeMap<String, Arc<dyn Handle>>,
}

/// A service that is run by a handler which this program does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "the service `{0}` is run by a handler, and this program has none for it: run the program that has it, \
     or leave it out of `services`, which names those that this worker runs"
)]
pub(crate) struct NoHandler(String);

// === impl Handlers ===

impl Handlers {
    /// No handlers: a worker that runs programs only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has a service run by a handler. Its file says so too, with `handler: {}`.
    ///
    /// The handler gets the request's parameters, a JSON object (`serde_json::Value` takes any), and returns
    /// what goes into `status.result`, which must be a JSON object too, or `()` for no result. It is called
    /// once for each attempt, and as many run at the same time as the worker has slots.
    ///
    /// # Panics
    /// When the service has a handler already.
    #[must_use]
    pub fn on<P, R, F>(
        mut self,
        service: &str,
        handler: impl Fn(P, JobContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + 'static,
        R: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<R, Failure>> + Send + 'static,
    {
        let handler = Arc::new(Typed::<P, R, _>::new(handler));
        let earlier = self.by_service.insert(service.to_owned(), handler);
        assert!(
            earlier.is_none(),
            "two handlers for the service `{service}`"
        );
        self
    }

    /// What runs the jobs of a service whose file says `handler`.
    ///
    /// # Errors
    /// When there is no handler for it.
    pub(crate) fn executor(
        &self,
        service: &str,
        file: &Handler,
    ) -> Result<HandlerExecutor, NoHandler> {
        let handler = self.by_service.get(service);
        let handler = handler.ok_or_else(|| NoHandler(service.to_owned()))?;
        Ok(HandlerExecutor::new(handler.clone(), file.grace_seconds))
    }

    /// Whether handlers and services fit together: `services` are all that this worker runs, which either
    /// its configuration names or are all of the folder. A handler that is not wanted by such a list is
    /// left alone: one program may be run with several lists.
    ///
    /// # Errors
    /// The first thing that does not fit, with the remedy.
    pub(crate) fn check(&self, services: &[Service], named: bool) -> Result<(), String> {
        for service in services {
            let here = self.by_service.contains_key(&service.name);
            match &service.runs {
                Runs::Handler(_) if !here => {
                    return Err(NoHandler(service.name.clone()).to_string());
                }
                Runs::Exec(_) if here => {
                    return Err(format!(
                        "the service `{0}` has a handler in this program, and its file {1}/{0}.yaml says \
                         `exec`: write `handler: {{}}` in its place, or take the handler out",
                        service.name,
                        service.dir.display()
                    ));
                }
                Runs::Handler(_) | Runs::Exec(_) => {}
            }
        }
        let known = |name: &&String| services.iter().any(|service| service.name == **name);
        match self.by_service.keys().find(|name| !known(name)) {
            Some(name) if !named => Err(format!(
                "this program has a handler for the service `{name}`, which has no file in `servicesDir`: \
                 add a {name}.yaml with `handler: {{}}`, or name in `services` those that this worker runs"
            )),
            _ => Ok(()),
        }
    }

    /// The schemas of all handlers, by service.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, Schemas)> {
        let all = self.by_service.iter();
        all.map(|(service, handler)| (service.as_str(), handler.schemas()))
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_service.keys()).finish()
    }
}
