//! Who and what: the identities that everything else is keyed by.

use std::{fmt, sync::Arc, time::Duration};

/// A request's UID: its identity, wherever the object lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub Arc<str>);

/// Where a request lives. Requests of two workspaces never mix, whatever their names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The virtual workspace (shard) that the object was seen through.
    pub endpoint: Arc<str>,
    /// The kind, as its resource and group: `requests.internal.services`.
    pub kind: Arc<str>,
    /// The logical cluster (workspace).
    pub cluster: Arc<str>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

/// Where requests are listed and watched: one kind at one endpoint. Each has lists and troubles of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// As in [`Address::endpoint`].
    pub endpoint: Arc<str>,
    /// As in [`Address::kind`].
    pub kind: Arc<str>,
}

/// One attempt of one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    /// The request.
    pub uid: Uid,
    /// Counted from 1.
    pub attempt: u32,
}

/// One process of one worker: with an [`AttemptId`] it is the fence of that attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// The worker's name.
    pub worker: Arc<str>,
    /// A random value of the process, empty where only a status is known.
    pub incarnation: Arc<str>,
}

/// One gRPC stream of one worker, numbered by the watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// Time, as an argument: a monotonic clock for durations and a wall clock for what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since some fixed moment of this process.
    pub mono: Duration,
    /// For the status.
    pub wall: jiff::Timestamp,
}

impl Uid {
    /// From any text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Address {
    /// The list that has it.
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            endpoint: self.endpoint.clone(),
            kind: self.kind.clone(),
        }
    }

    /// Whether that list has it.
    #[must_use]
    pub fn is_at(&self, source: &Source) -> bool {
        self.endpoint == source.endpoint && self.kind == source.kind
    }
}

impl fmt::Display for Source {
    /// `kind at endpoint`, as in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.kind, self.endpoint)
    }
}

impl fmt::Display for Address {
    /// `cluster/namespace/name`, as in logs and tickets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.uid, self.attempt)
    }
}
