//! The edge to kcp: one KUBECONFIG, the endpoint slices, a list and watch per endpoint and kind, status
//! writes.
//!
//! `mode` tells whether there are workspaces at all, `follower` keeps the watches, `place` says how what
//! they see is addressed, `paths` knows the paths of workspaces, `busy` when a server wants to be left alone.
//! It turns objects into observations and carries out the engine's reads, writes and deletions; it decides
//! nothing.

mod busy;
mod calls;
mod client;
mod explain;
mod follow;
mod follower;
mod lists;
pub(crate) mod mark;
mod mode;
mod news;
mod object;
mod paths;
mod place;
mod probe;
mod resource;
mod slice;
mod status;
mod watch;

pub(crate) use client::{Clients, Services};
pub(crate) use follower::{Before, Follower};
pub(crate) use mark::Mark;
pub(crate) use news::{Announcer, News};
pub(crate) use paths::Paths;
pub(crate) use place::label as endpoint_label;
pub(crate) use probe::{probe, probe_election};
pub(crate) use resource::Served;
