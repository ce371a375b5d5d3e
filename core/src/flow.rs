//! What an operator allows to run and to wait: the limits that the schedule keeps.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What of one service may be under way. `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Requests that are offered or held at once.
    pub concurrency: Option<u32>,
    /// The same of one tenant.
    pub per_tenant: Option<u32>,
    /// The same with one concurrency key.
    pub per_key: Option<u32>,
    /// How often one may start.
    pub rate: Option<Rate>,
    /// Nothing new starts.
    pub paused: bool,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// One more may start after each such time.
    pub every: Duration,
    /// So many may start at once after a quiet time; at least 1.
    pub burst: u32,
}

/// What one tenant may have over all services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenants {
    /// Requests that are offered or held at once; `None` is no limit.
    pub in_flight: Option<u32>,
    /// Requests that wait.
    pub waiting: u32,
    /// The parameters of those that wait, bytes.
    pub waiting_bytes: u64,
}

/// What is paused: running jobs finish, nothing new starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// Everything.
    pub all: bool,
    /// These services.
    pub services: BTreeSet<Arc<str>>,
    /// These tenants.
    pub tenants: BTreeSet<Arc<str>>,
}

impl Default for Tenants {
    /// 20,000 requests and 1 GiB may wait.
    fn default() -> Self {
        Self {
            in_flight: None,
            waiting: 20_000,
            waiting_bytes: 1 << 30,
        }
    }
}
