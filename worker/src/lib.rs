//! The worker: takes tickets from RabbitMQ, claims attempts from the watcher, runs jobs, reports.
//!
//! # A worker with services in Rust
//!
//! A service is a program that `isc-worker` starts, or a *handler*: an `async fn` in a program made with this
//! crate. Such a program has the command line and the configuration of `isc-worker`, and runs programs too.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use isc_worker::{Failure, Handlers, JobContext};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Add {
//!     a: i64,
//!     b: i64,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Sum {
//!     sum: i64,
//! }
//!
//! async fn add(params: Add, job: JobContext) -> Result<Sum, Failure> {
//!     job.progress(50, "half way").await;
//!     let sum = params.a.checked_add(params.b);
//!     let sum = sum.ok_or_else(|| Failure::invalid("the sum is too large"))?;
//!     Ok(Sum { sum })
//! }
//!
//! fn main() -> ExitCode {
//!     isc_worker::main(|| Handlers::new().on("add", add))
//! }
//! ```
//!
//! The service's file, `add.yaml`, says `handler: {}` where others say `exec`. `<program> schema` prints the
//! schemas of the types for it, `<program> run --service add --params FILE` runs it on the spot, and
//! [`testing`] runs a handler within a test.
//!
//! What holds for a handler:
//!
//! - Its parameters are read before it is called; what does not fit ends the request with `InvalidParams`.
//! - A [`Failure`] says whether another try may help. A panic fails the request, and no other job.
//! - It is told to stop ([`JobContext::cancelled`]), has the service's `graceSeconds` to return, and is dropped
//!   then. What it began must end with it: no `tokio::spawn` that it does not wait for.
//! - What it logs with `tracing` goes to the worker's log, with the request's UID beside it.
//! - It must not block: it shares two threads with the worker's heartbeats, and a worker that misses those
//!   until its lease ends is killed by its warden, with all its jobs. [`JobContext::blocking`] is for what
//!   blocks.
//! - It runs in the worker's process and may use whatever that can read, the configuration of other handlers
//!   included. Services that must not trust each other belong on separate workers.
//!
//! # Inside
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the configuration |
//! | [`executor`] | what an executor is: a job in, an [`executor::End`] out |
//! | `failure` | why a job failed, and whether another try may help |
//! | `executors` | which executor runs which service |
//! | `exec` | the executor that runs a program |
//! | `handler` | the executor that runs code of this program |
//! | `agent` | the one task that holds the worker's state and carries out the effects of its step |
//! | `session` | the gRPC stream to the watcher |
//! | `intake` | the consumers at the broker |
//! | `warden` | the process that kills jobs when the worker cannot |
//! | `local` | `isc-worker run`: a service on the spot |
//! | `alone` | one job by itself, for `local` and [`testing`] |
//!
//! All decisions are in [`isc_core::worker_session`]. Nothing here sees Kubernetes.

mod agent;
mod alone;
mod cli;
pub mod config;
mod exec;
pub mod executor;
mod executors;
mod failure;
mod handler;
mod intake;
mod jobs;
mod local;
mod metrics;
mod serve;
mod session;
mod spans;
pub mod testing;
mod warden;
mod wire;

pub use cli::main;
pub use failure::Failure;
pub use handler::{Handlers, JobContext};
pub use serve::{ServeError, run};
pub use warden::helper;
