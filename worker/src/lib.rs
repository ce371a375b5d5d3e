//! The worker: takes tickets from RabbitMQ, claims attempts from the watcher, runs jobs, reports.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the configuration |
//! | [`executor`] | what an executor is: a job in, an [`executor::End`] out |
//! | `exec` | the executor that runs a program |
//! | `agent` | the one task that holds the worker's state and carries out the effects of its step |
//! | `session` | the gRPC stream to the watcher |
//! | `intake` | the consumers at the broker |
//! | `warden` | the process that kills jobs when the worker cannot |
//! | `local` | `isc-worker run`: a service on the spot |
//!
//! All decisions are in [`isc_core::worker_session`]. Nothing here sees Kubernetes.

mod agent;
pub mod cli;
pub mod config;
mod exec;
pub mod executor;
mod intake;
mod jobs;
mod local;
mod metrics;
mod serve;
mod session;
mod spans;
mod warden;
mod wire;

pub use serve::{ServeError, run};
pub use warden::helper;
