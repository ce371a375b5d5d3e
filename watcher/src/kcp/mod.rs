//! The edge to kcp: one KUBECONFIG, the endpoint slice, a list and watch per endpoint, status writes.
//!
//! It turns objects into observations and carries out the engine's reads and writes; it decides nothing.

mod client;
mod explain;
mod object;
mod slice;
mod status;
mod watch;

pub use client::KubeconfigError;
pub(crate) use client::{Clients, base_config};
pub(crate) use slice::Follower;
