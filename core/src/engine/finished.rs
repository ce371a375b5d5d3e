//! What the engine keeps of a request whose end is in the API.

use std::{sync::Arc, time::Duration};

use crate::ids::Address;

/// There may be very many.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) endpoint: Arc<str>,
    /// The attempt whose outcome is durable.
    pub(super) attempt: u32,
    pub(super) list: u32,
    expires: Option<Box<Expires>>,
}

/// When and where it is deleted; the endpoint may change.
#[derive(Debug)]
struct Expires {
    at: Duration,
    cluster: Arc<str>,
    namespace: Arc<str>,
    name: Arc<str>,
}

/// Bytes of what is kept for a deletion, besides the names.
#[cfg(test)]
pub(super) const EXPIRES: usize = size_of::<Expires>();

// === impl Finished ===

impl Finished {
    /// Deleted at that time, if ever.
    pub(super) fn new(address: Address, attempt: u32, list: u32, at: Option<Duration>) -> Self {
        let expires = at.map(|at| {
            Box::new(Expires {
                at,
                cluster: address.cluster,
                namespace: address.namespace,
                name: address.name,
            })
        });
        Self {
            endpoint: address.endpoint,
            attempt,
            list,
            expires,
        }
    }

    pub(super) fn expires_at(&self) -> Option<Duration> {
        self.expires.as_ref().map(|expires| expires.at)
    }

    /// Deleted at another time, if at all.
    pub(super) fn expires_again(&mut self, at: Duration) -> bool {
        if let Some(expires) = &mut self.expires {
            expires.at = at;
        }
        self.expires.is_some()
    }

    /// Where it lives, when it is to be deleted.
    pub(super) fn address(&self) -> Option<Address> {
        let expires = self.expires.as_ref()?;
        Some(Address {
            endpoint: self.endpoint.clone(),
            cluster: expires.cluster.clone(),
            namespace: expires.namespace.clone(),
            name: expires.name.clone(),
        })
    }
}
