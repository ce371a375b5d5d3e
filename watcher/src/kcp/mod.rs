//! The edge to kcp: one KUBECONFIG, the endpoint slice, a list and watch per endpoint, status writes.
//!
//! It turns objects into observations and carries out the engine's reads, writes and deletions; it decides
//! nothing.

mod calls;
mod client;
mod explain;
mod follow;
mod lists;
mod mark;
mod news;
mod object;
mod resource;
mod slice;
mod status;
mod watch;

pub use client::KubeconfigError;
pub(crate) use client::{Clients, Services, base_config};
pub(crate) use mark::Mark;
pub(crate) use news::{Announcer, News};
pub(crate) use resource::Served;
pub(crate) use slice::Follower;
