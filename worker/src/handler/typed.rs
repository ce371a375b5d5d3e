//! A handler behind its types.

use std::{future::Future, marker::PhantomData, pin::Pin, sync::OnceLock};

use isc_runtime::services::Schema;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use super::{JobContext, Schemas};
use crate::executor::Failure;

/// A handler whose types are forgotten.
pub(super) trait Handle: Send + Sync + 'static {
    /// Begins a job. Parameters are a JSON object as text; so is the result, or empty.
    ///
    /// # Errors
    /// When the parameters are not what the handler takes.
    fn call(&self, params: &str, job: JobContext) -> Result<Running, Failure>;

    fn schemas(&self) -> Schemas;
}

/// A handler at work.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send>>;

/// A handler with its types.
pub(super) struct Typed<P, R, H> {
    handler: H,
    /// Of the parameters, made when the first are wrong; `None` when it cannot be used.
    schema: OnceLock<Option<Schema>>,
    types: PhantomData<fn(P) -> R>,
}

// === impl Typed ===

impl<P: JsonSchema, R: JsonSchema, H> Typed<P, R, H> {
    pub(super) fn new(handler: H) -> Self {
        Self {
            handler,
            schema: OnceLock::new(),
            types: PhantomData,
        }
    }

    /// What is wrong with parameters, without any value of them: what serde says quotes them.
    fn misfit(&self, params: &str, error: &serde_json::Error) -> Failure {
        let compiled = || Schema::compile(&Schemas::of::<P, R>().params).ok();
        let schema = self.schema.get_or_init(compiled).as_ref();
        let broken = schema.and_then(|schema| {
            let params = serde_json::from_str(params).ok()?;
            schema.check(&params).err()
        });
        let (line, column) = (error.line(), error.column());
        Failure::invalid(match broken {
            Some(broken) => format!("spec.params: {broken}"),
            None => {
                format!("spec.params are not what the handler takes (line {line}, column {column})")
            }
        })
    }
}

impl<P, R, H, F> Handle for Typed<P, R, H>
where
    P: DeserializeOwned + JsonSchema + 'static,
    R: Serialize + JsonSchema + 'static,
    H: Fn(P, JobContext) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Failure>> + Send + 'static,
{
    fn call(&self, params: &str, job: JobContext) -> Result<Running, Failure> {
        let params = match params {
            "" => "{}",
            text => text,
        };
        // A struct could be read from a list, too.
        if !params.trim_start().starts_with('{') {
            return Err(Failure::invalid("the parameters are not a JSON object"));
        }
        let params = serde_json::from_str(params).map_err(|error| self.misfit(params, &error))?;
        let running = (self.handler)(params, job);
        Ok(Box::pin(async move { to_json(&running.await?) }))
    }

    fn schemas(&self) -> Schemas {
        Schemas::of::<P, R>()
    }
}

/// A JSON object as text; empty for `()`.
fn to_json(result: &impl Serialize) -> Result<String, Failure> {
    let invalid = |message: &str| Failure {
        reason: "InvalidResult",
        ..Failure::permanent(message)
    };
    let text = serde_json::to_string(result).map_err(|error| {
        tracing::error!("the handler's result cannot be written as JSON: {error}");
        invalid("the handler's result cannot be written as JSON")
    })?;
    match text.as_str() {
        "null" => Ok(String::new()),
        object if object.starts_with('{') => Ok(text),
        _ => Err(invalid("the handler's result is not a JSON object")),
    }
}
