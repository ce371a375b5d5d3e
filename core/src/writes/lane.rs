//! The writes of one source.

use std::{collections::BTreeSet, time::Duration};

use super::Urgency;
use crate::ids::Uid;

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) due: BTreeSet<(Urgency, Duration, Uid)>,
    now: usize,
    live: usize,
}

// === impl Lane ===

impl Lane {
    pub(super) fn flights(&mut self, urgency: Urgency) -> &mut usize {
        match urgency {
            Urgency::Now => &mut self.now,
            Urgency::Live => &mut self.live,
        }
    }

    pub(super) fn first(
        &self,
        urgency: Urgency,
        from: Duration,
    ) -> Option<&(Urgency, Duration, Uid)> {
        let next = self.due.range((urgency, from, Uid::new(""))..).next();
        next.filter(|(found, ..)| *found == urgency)
    }

    /// Live states never take more than a quarter of the slots, so that ends always find some.
    pub(super) fn startable(
        &self,
        now: Duration,
        parallel: usize,
    ) -> Option<&(Urgency, Duration, Uid)> {
        if self.now + self.live >= parallel {
            return None;
        }
        let due = |urgency| {
            self.first(urgency, Duration::ZERO)
                .filter(|(_, due, _)| *due <= now)
        };
        let live = || {
            (self.live < (parallel / 4).max(1))
                .then(|| due(Urgency::Live))
                .flatten()
        };
        due(Urgency::Now).or_else(live)
    }
}
