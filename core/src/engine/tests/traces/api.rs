//! What a trace's API does: writes and deletions are answered, others write too.

use super::{
    super::*,
    trace::{Trace, UIDS, retries},
};
use crate::{api::Phase, status};

// === impl Trace ===

impl Trace {
    /// One end, and the same one however often it is written.
    pub(super) fn check_write(&mut self, write: &Write) {
        let under_way = self.writes.iter().any(|other| other.uid == write.uid);
        assert!(!under_way, "two writes of {} at once", write.uid);
        if let Some(end) = self
            .ends
            .get(&write.uid)
            .filter(|_| !self.gone.contains(&write.uid))
        {
            // Another watcher may have counted more meanwhile.
            let key = |status: &RequestStatus| {
                let reason = status.conditions[0].reason.clone();
                (
                    status.phase,
                    reason,
                    status.worker.clone(),
                    status.completion_time,
                )
            };
            assert_eq!(key(&write.status), key(end), "another end");
        }
        if status::has_ended(&write.status) {
            self.ends.insert(write.uid.clone(), write.status.clone());
        }
    }

    /// Only what has ended in the API is deleted, and is asked for once.
    pub(super) fn check_deletion(&mut self, uid: &Uid) {
        let ended = self.api[uid].2.as_ref().is_some_and(status::has_ended);
        assert!(ended, "{uid} is deleted and has not ended");
        assert!(!self.deletions.contains(uid), "two deletions of {uid}");
        self.deletions.push(uid.clone());
    }

    /// The oldest deletion is answered. An object that is gone may come back as a new trace of its own.
    pub(super) fn deleted(&mut self, gone: bool) {
        if self.deletions.is_empty() {
            return;
        }
        let uid = self.deletions.remove(0);
        let result = if gone {
            DeleteResult::Gone
        } else {
            DeleteResult::Retry
        };
        if gone {
            self.gone.insert(uid.clone());
        }
        self.step(Event::Deleted(uid, result));
    }

    pub(super) fn foreign_end(&mut self, uid: &Uid) {
        let known = self.api.get_mut(uid).unwrap();
        if !known.2.as_ref().is_some_and(status::has_ended) {
            let phase = Some(crate::api::Phase::Failed);
            let end = RequestStatus {
                phase,
                ..RequestStatus::default()
            };
            (known.0, known.2) = (known.0 + 1, Some(end));
        }
        self.observe(uid, false);
    }

    /// Another watcher counted an attempt, and knows of nothing that is not in the API.
    pub(super) fn foreign_count(&mut self, uid: &Uid, lost: bool) {
        let ours = self
            .life(uid)
            .map_or((0, 0), |life| (life.failed, life.lost));
        let lost_max = self.engine.config.lost_max;
        let known = self.api.get_mut(uid).unwrap();
        let counts = |status: &RequestStatus| (status.failed, status.lost);
        let theirs = known.2.as_ref().map(counts).unwrap_or_default();
        let (failed, lost) = if lost {
            (theirs.0, ours.1 + 1)
        } else {
            (ours.0 + 1, theirs.1)
        };
        let within = failed <= retries(uid) && lost <= lost_max;
        if within && !known.2.as_ref().is_some_and(status::has_ended) {
            let found = RequestStatus {
                phase: Some(Phase::Queued),
                failed,
                lost,
                ..RequestStatus::default()
            };
            (known.0, known.2) = (known.0 + 1, Some(found));
        }
        self.observe(uid, false);
    }

    pub(super) fn relist(&mut self, present: [bool; 3]) {
        self.step(Event::Endpoints(vec![source()]));
        self.step(Event::ListStarted(source()));
        for (uid, present) in UIDS.iter().zip(present) {
            if present {
                self.step(Event::Observed(Box::new(self.observation(&Uid::new(uid)))));
            } else {
                self.gone.insert(Uid::new(uid));
            }
        }
        self.step(Event::Listed(source()));
    }

    /// The oldest write is answered: mostly well, landed or not.
    pub(super) fn answer(&mut self, how: u8) {
        if self.writes.is_empty() {
            return;
        }
        let write = self.writes.remove(0);
        let known = self.api.get_mut(&write.uid).unwrap();
        let current = known.0.to_string() == write.resource_version;
        if current && how < 6 {
            assert!(
                !known.2.as_ref().is_some_and(status::has_ended),
                "an end is written over"
            );
            let counts = |status: &RequestStatus| (status.failed, status.lost);
            let (failed, lost) = known.2.as_ref().map(counts).unwrap_or_default();
            assert!(
                write.status.failed >= failed && write.status.lost >= lost,
                "counts are taken back: {:?} -> {:?}",
                known.2,
                write.status
            );
            (known.0, known.2) = (known.0 + 1, Some(write.status));
        }
        let result = match how {
            0..5 if current => WriteResult::Ok(known.0.to_string()),
            0..5 => WriteResult::Conflict(Box::new(self.observation(&write.uid))),
            _ => WriteResult::Retry,
        };
        self.step(Event::Written(write.uid, result));
    }

    /// No worker is there, every write lands, and the clock goes on until every request has ended.
    /// Returns how often the engine had to wake.
    pub(super) fn time_alone(&mut self) -> usize {
        self.relist([true; 3]);
        (0..2).for_each(|worker| self.close(worker));
        for wakes in 0..1000 {
            while !self.writes.is_empty() || !self.reads.is_empty() {
                self.answer(0);
                self.status_read(true);
            }
            let ended = |uid: &&str| {
                let (_, _, status) = &self.api[&Uid::new(uid)];
                status.as_ref().is_some_and(status::has_ended)
            };
            if UIDS.iter().all(ended) {
                return wakes;
            }
            let at = self.engine.wake_at(self.now);
            let at = at.unwrap_or_else(|| panic!("it sleeps for ever: {:?}", self.engine.entries));
            self.now = self.now.max(at);
            self.step(Event::Wake);
        }
        panic!("after {:?}: {:?}", self.now, self.engine.entries);
    }
}
