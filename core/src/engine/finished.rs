//! What the engine keeps of a request whose end is in the API.

use std::{sync::Arc, time::Duration};

use super::{
    Engine, Observation,
    expiry::expiry,
    keyed::{Asked, holds_key},
};
use crate::{
    ids::{Address, Now, Source},
    life::Moment,
};

/// There may be very many.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) source: Source,
    /// The attempt whose outcome is durable.
    pub(super) attempt: u32,
    pub(super) list: u32,
    place: Option<Box<Place>>,
}

/// Where it lives, when that is needed again: to delete it, or to read its result. The source may
/// change.
#[derive(Debug)]
struct Place {
    /// When it is deleted, if ever.
    at: Option<Duration>,
    cluster: Arc<str>,
    namespace: Arc<str>,
    name: Arc<str>,
}

/// Bytes of what is kept for a deletion, besides the names.
#[cfg(test)]
pub(super) const EXPIRES: usize = size_of::<Place>();

// === impl Finished ===

impl Finished {
    /// Deleted at that time, if ever.
    pub(super) fn new(address: Address, attempt: u32, list: u32, at: Option<Duration>) -> Self {
        let mut finished = Self {
            source: address.source(),
            attempt,
            list,
            place: None,
        };
        if at.is_some() {
            finished.keep_place(address, at);
        }
        finished
    }

    /// Where it lives is needed later.
    pub(super) fn with_place(mut self, address: Address) -> Self {
        let at = self.expires_at();
        self.keep_place(address, at);
        self
    }

    fn keep_place(&mut self, address: Address, at: Option<Duration>) {
        self.place = Some(Box::new(Place {
            at,
            cluster: address.cluster,
            namespace: address.namespace,
            name: address.name,
        }));
    }

    pub(super) fn expires_at(&self) -> Option<Duration> {
        self.place.as_ref()?.at
    }

    /// Deleted at another time, if at all.
    pub(super) fn expires_again(&mut self, at: Duration) -> bool {
        let expires = self.place.as_mut().and_then(|place| place.at.as_mut());
        expires.map(|expires| *expires = at).is_some()
    }

    /// Where it lives, when that was kept.
    pub(super) fn address(&self) -> Option<Address> {
        let place = self.place.as_ref()?;
        Some(Address {
            endpoint: self.source.endpoint.clone(),
            kind: self.source.kind.clone(),
            cluster: place.cluster.clone(),
            namespace: place.namespace.clone(),
            name: place.name.clone(),
        })
    }
}

// === impl Engine ===

impl Engine {
    /// A request that had ended when it was first seen.
    pub(super) fn found_ended(
        &mut self,
        found: Observation,
        attempt: u32,
        since: Moment,
        list: u32,
        now: Now,
    ) {
        let at = expiry(self.ttl(&found), since, now);
        let asked = Asked::of(&found, true);
        let asked = asked.filter(|_| holds_key(found.status.as_ref()));
        let mut finished = Finished::new(found.address.clone(), attempt, list, at);
        if asked.is_some() {
            finished = finished.with_place(found.address);
        }
        self.keep_finished(&found.uid, finished);
        if let Some(asked) = asked {
            self.keeps_key(asked);
        }
    }
}
