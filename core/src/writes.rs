//! Which status is written next: ends first, live states late and seldom.
//!
//! It holds only *that* a request is dirty; what is written is rendered when the write starts, so the
//! newest state wins by construction.

mod lane;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use crate::ids::{Source, Uid};
use lane::Lane;

/// The first delay after a write that did not work, doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest delay after a write that did not work.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How eager the writer is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A live state is written that long after it changed: a short request ends before and costs one
    /// write in all.
    pub first_delay: Duration,
    /// The least time between two writes of one live request.
    pub min_interval: Duration,
    /// Writes at once, per endpoint and kind.
    pub parallel: usize,
}

/// How much a write matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A worker waits for it, whose slot is not free before: what it reported is to be recorded.
    Held,
    /// Someone else waits for it: another end, or counts that must be durable.
    Now,
    /// It is good to know.
    Live,
}

/// All requests whose status in the API is older than their state.
#[derive(Debug)]
pub struct Writes {
    pace: Pace,
    requests: HashMap<Uid, Dirty>,
    /// Writes that ended well within the last interval, oldest first: nothing is kept of a clean request for longer.
    written: VecDeque<(Duration, Uid)>,
    lanes: BTreeMap<Source, Lane>,
}

/// A request that is dirty, being written, or was lately.
#[derive(Debug)]
struct Dirty {
    source: Source,
    wanted: Option<(Urgency, Duration)>,
    in_flight: Option<Flight>,
    /// When the last write ended well.
    last: Option<Duration>,
    failures: u32,
}

/// A write on its way. It ends with an answer and not before.
#[derive(Debug)]
struct Flight {
    urgency: Urgency,
    source: Source,
    /// The request was forgotten meanwhile.
    forgotten: bool,
}

// === impl Writes ===

impl Writes {
    /// Nothing is dirty.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            requests: HashMap::new(),
            written: VecDeque::new(),
            lanes: BTreeMap::new(),
        }
    }

    /// A request's state changed.
    pub fn want(&mut self, uid: &Uid, source: &Source, urgency: Urgency, now: Duration) {
        let pace = self.pace;
        let entry = self
            .requests
            .entry(uid.clone())
            .or_insert_with(|| Dirty::new(source));
        let due = match urgency {
            Urgency::Held | Urgency::Now => now,
            Urgency::Live => {
                let earliest = entry
                    .last
                    .map_or(Duration::ZERO, |last| last + pace.min_interval);
                (now + pace.first_delay).max(earliest)
            }
        };
        let wanted = match entry.wanted {
            // A retry keeps its back-off.
            Some((old, old_due)) if entry.failures > 0 => (old.min(urgency), old_due),
            Some((old, old_due)) if old <= urgency => (old, old_due.min(due)),
            _ => (urgency, due),
        };
        self.line_up(uid, Some(wanted));
    }

    /// Sets what is wanted of a request; it has a place in its lane while no write of it is under way.
    fn line_up(&mut self, uid: &Uid, wanted: Option<(Urgency, Duration)>) {
        let Some(entry) = self.requests.get_mut(uid) else {
            return;
        };
        let lane = self.lanes.entry(entry.source.clone()).or_default();
        if let Some((urgency, due)) = std::mem::replace(&mut entry.wanted, wanted) {
            lane.of(urgency).due.remove(&(due, uid.clone()));
        }
        if let (Some((urgency, due)), None) = (wanted, &entry.in_flight) {
            lane.of(urgency).due.insert((due, uid.clone()));
        }
    }

    /// The request lives at another source now.
    pub fn moved(&mut self, uid: &Uid, source: &Source) {
        let Some(wanted) = self.requests.get(uid).map(|entry| entry.wanted) else {
            return;
        };
        self.line_up(uid, None);
        if let Some(entry) = self.requests.get_mut(uid) {
            entry.source = source.clone();
        }
        self.line_up(uid, wanted);
    }

    /// Takes the next write that may start now. `stopped` says which sources take none. Each is to be
    /// followed by one [`Self::done`] or [`Self::failed`].
    pub fn start(
        &mut self,
        now: Duration,
        stopped: impl Fn(&Source) -> bool,
    ) -> Option<(Uid, Urgency)> {
        let parallel = self.pace.parallel;
        let open = self.lanes.iter().filter(|(source, _)| !stopped(source));
        let next = open
            .filter_map(|(_, lane)| lane.startable(now, parallel))
            .min()?;
        let (urgency, (_, uid)) = (next.0, next.1.clone());
        self.line_up(&uid, None);
        let entry = self.requests.get_mut(&uid).expect("what is due is dirty");
        let source = entry.source.clone();
        let lane = self.lanes.entry(source.clone()).or_default();
        lane.of(urgency).flights += 1;
        entry.in_flight = Some(Flight {
            urgency,
            source,
            forgotten: false,
        });
        Some((uid, urgency))
    }

    /// A write ended well, or its answer means nothing any more.
    pub fn done(&mut self, uid: &Uid, now: Duration) {
        self.land(uid);
        let min_interval = self.pace.min_interval;
        let Some(entry) = self.requests.get_mut(uid) else {
            return;
        };
        (entry.failures, entry.last) = (0, Some(now));
        let wanted = entry.wanted.map(|(urgency, due)| match urgency {
            Urgency::Held | Urgency::Now => (urgency, due),
            Urgency::Live => (urgency, due.max(now + min_interval)),
        });
        self.line_up(uid, wanted);
        self.written.push_back((now, uid.clone()));
        self.forget_clean(now);
    }

    /// Forgets when requests were written that may be written again at once and need not be.
    fn forget_clean(&mut self, now: Duration) {
        let min_interval = self.pace.min_interval;
        while let Some((at, uid)) = self
            .written
            .pop_front_if(|(at, _)| *at + min_interval <= now)
        {
            let is_clean = |entry: &Dirty| entry.last == Some(at) && !entry.is_busy();
            if self.requests.get(&uid).is_some_and(is_clean) {
                self.requests.remove(&uid);
            }
        }
    }

    /// A write did not work: it is tried again, later each time; `at_once` after a conflict, when a
    /// newer version is at hand.
    pub fn failed(&mut self, uid: &Uid, at_once: bool, now: Duration) {
        let Some(tried) = self.land(uid) else {
            // It was forgotten meanwhile, and may be wanted again.
            let wanted = self.requests.get(uid).and_then(|entry| entry.wanted);
            return self.line_up(uid, wanted);
        };
        let Some(entry) = self.requests.get_mut(uid) else {
            return;
        };
        let urgency = entry
            .wanted
            .map_or(tried, |(urgency, _)| urgency.min(tried));
        let delay = if at_once {
            Duration::ZERO
        } else {
            entry.back_off()
        };
        self.line_up(uid, Some((urgency, now + delay)));
    }

    /// Frees the slot of a write, and all that is kept of a request that was forgotten meanwhile.
    fn land(&mut self, uid: &Uid) -> Option<Urgency> {
        let entry = self.requests.get_mut(uid)?;
        let flight = entry.in_flight.take()?;
        let lane = self.lanes.entry(flight.source).or_default();
        lane.of(flight.urgency).flights -= 1;
        if flight.forgotten && entry.wanted.is_none() {
            self.requests.remove(uid);
        }
        (!flight.forgotten).then_some(flight.urgency)
    }

    /// The request is gone or finished: nothing of it is written any more.
    pub fn forget(&mut self, uid: &Uid) {
        self.line_up(uid, None);
        match self.requests.get_mut(uid).map(|entry| &mut entry.in_flight) {
            Some(Some(flight)) => flight.forgotten = true,
            _ => drop(self.requests.remove(uid)),
        }
    }

    /// Everything dirty is due at once from now on: the last writes before a clean end.
    pub fn hurry(&mut self, now: Duration) {
        (self.pace.first_delay, self.pace.min_interval) = (Duration::ZERO, Duration::ZERO);
        let wanted = |entry: &Dirty| entry.wanted.map(|(urgency, _)| (urgency, now));
        let all: Vec<_> = self
            .requests
            .iter()
            .map(|(uid, e)| (uid.clone(), wanted(e)))
            .collect();
        for (uid, wanted) in all {
            self.line_up(&uid, wanted);
        }
    }

    /// When the next write becomes due. What is due already waits for a slot, not for time.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        let lanes = self.lanes.values();
        lanes.filter_map(|lane| lane.due_after(now)).min()
    }

    /// Requests that are dirty or being written.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.requests.values().filter(|d| d.is_busy()).count()
    }

    #[cfg(test)]
    pub(crate) fn is_dirty(&self, uid: &Uid) -> bool {
        let entry = self.requests.get(uid);
        entry.is_some_and(|entry| entry.wanted.is_some() || entry.in_flight.is_some())
    }

    /// What workers reported and wait to hear that it is recorded.
    #[must_use]
    pub fn held(&self) -> usize {
        self.lanes.values().map(Lane::held).sum()
    }
}

// === impl Dirty ===

impl Dirty {
    fn new(source: &Source) -> Self {
        Self {
            source: source.clone(),
            wanted: None,
            in_flight: None,
            last: None,
            failures: 0,
        }
    }

    fn is_busy(&self) -> bool {
        self.wanted.is_some() || self.in_flight.is_some()
    }

    fn back_off(&mut self) -> Duration {
        let factor = 1 << self.failures.min(16);
        self.failures += 1;
        RETRY_MIN.saturating_mul(factor).min(RETRY_MAX)
    }
}
