//! Results of requests that ended long ago are read again when one with the same key shares them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Effect, Engine, Entry};
use crate::{
    api::{Phase, RequestStatus},
    ids::{Now, Uid},
    keys::Ending,
    life::{End, LifeEvent},
    status::MirroredRun,
};

/// Reads under way at once.
const PARALLEL: usize = 8;
/// The first pause after a read that did not work, doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause after a read that did not work.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What is to be read, and what is being read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    due: BTreeSet<(Duration, Uid)>,
    wanted: BTreeMap<Uid, Wanted>,
    under_way: BTreeSet<Uid>,
}

#[derive(Debug, Default)]
struct Wanted {
    at: Duration,
    failures: u32,
}

// === impl Reads ===

impl Reads {
    /// The status of that request is needed, once.
    pub(super) fn want(&mut self, uid: &Uid, now: Now) {
        if !self.wanted.contains_key(uid) {
            self.line_up(uid, now.mono, 0);
        }
    }

    fn line_up(&mut self, uid: &Uid, at: Duration, failures: u32) {
        self.wanted.insert(uid.clone(), Wanted { at, failures });
        if !self.under_way.contains(uid) {
            self.due.insert((at, uid.clone()));
        }
    }

    /// Nobody needs it any more.
    pub(super) fn forget(&mut self, uid: &Uid) {
        if let Some(wanted) = self.wanted.remove(uid) {
            self.due.remove(&(wanted.at, uid.clone()));
        }
    }

    fn start(&mut self, now: Duration) -> Option<Uid> {
        let due = self.due.first().filter(|(at, _)| *at <= now);
        let next = due.filter(|_| self.under_way.len() < PARALLEL).cloned()?;
        self.due.remove(&next);
        self.under_way.insert(next.1.clone());
        Some(next.1)
    }

    fn again(&mut self, uid: &Uid, now: Duration) {
        if let Some(wanted) = self.wanted.get(uid) {
            let pause = RETRY_MIN.saturating_mul(1 << wanted.failures.min(16));
            let failures = wanted.failures + 1;
            self.line_up(uid, now + pause.min(RETRY_MAX), failures);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.wanted.is_empty()
    }

    #[cfg(test)]
    pub(super) fn awaits(&self, uid: &Uid) -> bool {
        self.wanted.contains_key(uid)
    }
}

// === impl Engine ===

impl Engine {
    /// Starts what can be read now.
    pub(super) fn start_reads(&mut self, now: Now) {
        while let Some(uid) = self.reads.start(now.mono) {
            let address = match self.entries.get(&uid) {
                Some(Entry::Live(request)) => Some(request.address.clone()),
                Some(Entry::Finished(finished)) => finished.address(),
                None => None,
            };
            if let Some(address) = address {
                self.effects.push(Effect::ReadStatus { uid, address });
            } else {
                self.reads.under_way.remove(&uid);
                self.reads.forget(&uid);
            }
        }
    }

    /// When the next one is due. What is due already waits for an answer, not for time.
    pub(super) fn read_at(&self, now: Duration) -> Option<Duration> {
        let blocked = self.draining || self.reads.under_way.len() >= PARALLEL;
        let first = self.reads.due.first().filter(|_| !blocked);
        first.map(|(at, _)| (*at).max(now))
    }

    /// The status of a request that ended long ago was read, or not.
    pub(super) fn status_read(&mut self, uid: &Uid, status: Option<Box<RequestStatus>>, now: Now) {
        let asked = self.reads.under_way.remove(uid) && self.reads.wanted.contains_key(uid);
        if !asked {
            return;
        }
        let sharing = self.keyed.keys.attached_to(uid);
        match status {
            _ if sharing.is_empty() => self.reads.forget(uid),
            // The object may be gone: the watch tells that.
            None => self.reads.again(uid, now.mono),
            Some(status) if status.phase == Some(Phase::Succeeded) => {
                self.reads.forget(uid);
                for other in sharing {
                    self.share_read(&other, &status, now);
                }
            }
            // Someone else wrote another end.
            Some(_) => self.leaves_key(uid, Ending::Dropped),
        }
    }

    fn share_read(&mut self, uid: &Uid, found: &RequestStatus, now: Now) {
        if let Some(mirror) = self.live_mut(uid).and_then(|r| r.mirror.as_mut()) {
            mirror.run = Some(MirroredRun::told(found));
        }
        let end = End::Succeeded {
            result: found.result.clone(),
            artifacts: found.artifacts.clone(),
        };
        self.apply(uid, LifeEvent::Shared(end), now);
    }
}
