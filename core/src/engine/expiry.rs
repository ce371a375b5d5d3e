//! Ended requests whose time to live is over are deleted, a few at a time.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{DeleteResult, Effect, Engine, Entry, finished::Finished};
use crate::{
    ids::{Now, Uid},
    keys::Ending,
    life::Moment,
};

/// Deletions under way at once.
const PARALLEL: usize = 8;
/// The first pause after a deletion that did not work, doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(10);
/// The longest pause after a deletion that did not work.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How long one whose endpoint takes nothing is left alone.
const SUSPECT: Duration = Duration::from_secs(30);

/// When what is deleted.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// By time, what is not being deleted already.
    due: BTreeSet<(Duration, Uid)>,
    under_way: BTreeSet<Uid>,
    /// Deletions of a request that did not work, one after the other.
    failures: HashMap<Uid, u32>,
}

// === impl Expiry ===

impl Expiry {
    /// The pause after one more deletion that did not work.
    fn back_off(&mut self, uid: &Uid) -> Duration {
        let failures = self.failures.entry(uid.clone()).or_default();
        let factor = 1 << (*failures).min(16);
        *failures += 1;
        RETRY_MIN.saturating_mul(factor).min(RETRY_MAX)
    }

    #[cfg(test)]
    pub(super) fn awaits(&self, uid: &Uid, at: Duration) -> bool {
        self.due.contains(&(at, uid.clone())) || self.under_way.contains(uid)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

/// When a request is deleted that ended then.
pub(super) fn expiry(ttl: Option<Duration>, ended: Moment, now: Now) -> Option<Duration> {
    ttl.map(|ttl| now.mono + ttl.saturating_sub(ended.age(now)))
}

// === impl Engine ===

impl Engine {
    /// Keeps an ended request until its time to live is over, or it goes away.
    pub(super) fn keep_finished(&mut self, uid: &Uid, finished: Finished) {
        if let Some(at) = finished.expires_at() {
            self.expiry.due.insert((at, uid.clone()));
        }
        self.entries.insert(uid.clone(), Entry::Finished(finished));
    }

    /// It is gone.
    pub(super) fn forget_finished(&mut self, uid: &Uid) {
        if let Some(Entry::Finished(finished)) = self.entries.remove(uid)
            && let Some(at) = finished.expires_at()
        {
            self.expiry.due.remove(&(at, uid.clone()));
        }
        self.expiry.failures.remove(uid);
        self.leaves_key(uid, Ending::Dropped);
    }

    /// Deletes what is due, as far as that is possible now.
    pub(super) fn delete_expired(&mut self, now: Now) {
        while self.expiry.under_way.len() < PARALLEL && !self.draining {
            let due = self.expiry.due.first().filter(|(at, _)| *at <= now.mono);
            let Some((at, uid)) = due.cloned() else {
                return;
            };
            self.expiry.due.remove(&(at, uid.clone()));
            self.delete(&uid, now);
        }
    }

    fn delete(&mut self, uid: &Uid, now: Now) {
        let entry = self.entries.get(uid);
        let suspect = entry.is_some_and(|entry| self.is_suspect(&entry.source()));
        if suspect || self.expiry.under_way.contains(uid) {
            return self.delete_later(uid, SUSPECT, now);
        }
        let Some(Entry::Finished(finished)) = entry else {
            return;
        };
        if let Some(address) = finished.address() {
            self.expiry.under_way.insert(uid.clone());
            let uid = uid.clone();
            self.effects.push(Effect::Delete { uid, address });
        }
    }

    fn delete_later(&mut self, uid: &Uid, pause: Duration, now: Now) {
        if let Some(Entry::Finished(finished)) = self.entries.get_mut(uid) {
            let at = now.mono + pause;
            // One that went away and came back meanwhile is in line again.
            if let Some(was) = finished.expires_at() {
                self.expiry.due.remove(&(was, uid.clone()));
            }
            if finished.expires_again(at) {
                self.expiry.due.insert((at, uid.clone()));
            }
        }
    }

    /// A deletion was answered.
    pub(super) fn deleted(&mut self, uid: &Uid, result: DeleteResult, now: Now) {
        if !self.expiry.under_way.remove(uid) {
            return;
        }
        match result {
            DeleteResult::Gone => self.forget_finished(uid),
            DeleteResult::Retry if self.entries.contains_key(uid) => {
                let pause = self.expiry.back_off(uid);
                self.delete_later(uid, pause, now);
            }
            DeleteResult::Retry => {}
        }
    }

    /// When the next one is due. What is due already waits for an answer, not for time.
    pub(super) fn expiry_at(&self, now: Duration) -> Option<Duration> {
        let blocked = self.draining || self.expiry.under_way.len() >= PARALLEL;
        let first = self.expiry.due.first().filter(|_| !blocked);
        first.map(|(at, _)| (*at).max(now))
    }
}
