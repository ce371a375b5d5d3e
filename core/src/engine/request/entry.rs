//! A known request, live or ended.

use super::{Finished, Observation, Request};
use crate::ids::Source;

#[derive(Debug)]
pub(in crate::engine) enum Entry {
    Live(Box<Request>),
    Finished(Finished),
}

// === impl Entry ===

impl Entry {
    pub(in crate::engine) fn source(&self) -> Source {
        match self {
            Self::Live(request) => request.address.source(),
            Self::Finished(finished) => finished.source.clone(),
        }
    }

    pub(in crate::engine) fn is_at(&self, source: &Source) -> bool {
        match self {
            Self::Live(request) => request.address.is_at(source),
            Self::Finished(finished) => finished.source == *source,
        }
    }

    pub(in crate::engine) fn list(&self) -> u32 {
        match self {
            Self::Live(request) => request.list,
            Self::Finished(finished) => finished.list,
        }
    }

    /// The API showed it (again).
    pub(in crate::engine) fn see(&mut self, observation: &Observation, seen_in: u32) {
        match self {
            Self::Finished(finished) => {
                finished.list = seen_in;
                finished.source = observation.address.source();
            }
            Self::Live(request) => {
                request.list = seen_in;
                if request.address != observation.address {
                    request.address = observation.address.clone();
                }
                request.generation = observation.generation;
                if !request.is_newer_than(observation) {
                    request.show(observation);
                }
            }
        }
    }
}
