//! The writes of one source.

use std::{collections::BTreeSet, time::Duration};

use super::Urgency;
use crate::ids::Uid;

/// Where a write stands among those of its urgency.
pub(super) type Due = (Duration, Uid);

#[derive(Debug, Default)]
pub(super) struct Lane {
    held: Urgent,
    now: Urgent,
    live: Urgent,
}

/// The writes of one urgency.
#[derive(Debug, Default)]
pub(super) struct Urgent {
    pub(super) due: BTreeSet<Due>,
    pub(super) flights: usize,
}

// === impl Lane ===

impl Lane {
    pub(super) fn of(&mut self, urgency: Urgency) -> &mut Urgent {
        match urgency {
            Urgency::Held => &mut self.held,
            Urgency::Now => &mut self.now,
            Urgency::Live => &mut self.live,
        }
    }

    /// When the first write after that moment is due.
    pub(super) fn due_after(&self, now: Duration) -> Option<Duration> {
        let later = now + Duration::from_nanos(1);
        let all = [&self.held, &self.now, &self.live].into_iter();
        all.filter_map(|writes| writes.from(later)).min()
    }

    /// So many writes for which workers wait.
    pub(super) fn held(&self) -> usize {
        self.held.due.len()
    }

    /// The next write. What workers wait for finds a slot however many others there are: their jobs are
    /// done, and their slots are not free before. So live states never take more than a quarter of the
    /// slots, and no more than three quarters are left to what only its caller waits for.
    pub(super) fn startable(&self, now: Duration, parallel: usize) -> Option<(Urgency, &Due)> {
        let (held, ends) = (&self.held, &self.now);
        let flights = held.flights + ends.flights + self.live.flights;
        if flights >= parallel {
            return None;
        }
        let room = |flights: usize, most: usize| flights < most.max(1);
        let others = ends.flights + self.live.flights;
        let held = held.ready(now).map(|due| (Urgency::Held, due));
        let end = || {
            let ready = room(others, parallel - parallel / 4).then(|| ends.ready(now))?;
            ready.map(|due| (Urgency::Now, due))
        };
        let live = || {
            let ready = room(self.live.flights, parallel / 4).then(|| self.live.ready(now))?;
            ready.map(|due| (Urgency::Live, due))
        };
        held.or_else(end).or_else(live)
    }
}

// === impl Urgent ===

impl Urgent {
    fn ready(&self, now: Duration) -> Option<&Due> {
        self.due.first().filter(|(due, _)| *due <= now)
    }

    fn from(&self, at: Duration) -> Option<Duration> {
        let next = self.due.range((at, Uid::new(""))..).next();
        next.map(|(due, _)| *due)
    }
}
