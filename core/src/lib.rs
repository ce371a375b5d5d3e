//! The decisions of ISC, as pure functions of state, event and time.
//!
//! No runtime, no network, no clock and no randomness lives here; this crate's `Cargo.toml` keeps it so.
//! The watcher's engine ([`engine`]) and the worker's session ([`worker_session`]) are state machines
//! whose effects are values that the two binaries carry out.

#![deny(missing_docs)]

pub mod admit;
pub mod api;
pub mod audit;
pub mod decide;
pub mod engine;
pub mod flow;
pub mod ids;
pub mod keys;
pub mod life;
pub mod reason;
mod rules;
pub mod schedule;
pub mod status;
pub mod text;
pub mod throttle;
pub mod trace;
pub mod worker_session;
pub mod writes;
