//! The writes of one source.

use std::{collections::BTreeSet, time::Duration};

use super::Urgency;
use crate::ids::Uid;

/// What is good to know waits that long for slots that workers wait for.
const PATIENCE: Duration = Duration::from_secs(4);

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
    /// done, and their slots are not free before. So a quarter of the slots is left to it: of the others,
    /// what only its caller waits for takes half of all at most, and live states a quarter. One slot is
    /// left to those, too, so that nobody waits for ever. Shares need two slots.
    ///
    /// Where workers wait, a live state does so for [`PATIENCE`]: most of what is written late then is written in
    /// vain, for its end follows, and each write in vain is one end less.
    pub(super) fn startable(&self, now: Duration, parallel: usize) -> Option<(Urgency, &Due)> {
        let (held, ends, live) = (&self.held, &self.now, &self.live);
        let others = ends.flights + live.flights;
        if held.flights + others >= parallel {
            return None;
        }
        let room = |flights: usize, most: usize| flights < most.max(1);
        let quarter = parallel / 4;
        let for_others = room(others, (parallel - quarter).min(parallel.saturating_sub(1)));
        let end = for_others && room(ends.flights, parallel / 2);
        let live_one = for_others && room(live.flights, quarter);
        let end = || end.then(|| ends.ready(now)).flatten();
        let workers_wait = held.ready(now).is_some();
        let live_since = if workers_wait {
            now.checked_sub(PATIENCE)
        } else {
            Some(now)
        };
        let live_one = || live.ready(live_since.filter(|_| live_one)?);
        let other = || {
            let end = end().map(|due| (Urgency::Now, due));
            end.or_else(|| live_one().map(|due| (Urgency::Live, due)))
        };
        match held.ready(now).map(|due| (Urgency::Held, due)) {
            Some(held) if room(self.held.flights, parallel - 1) => Some(held),
            held => other().or(held),
        }
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
