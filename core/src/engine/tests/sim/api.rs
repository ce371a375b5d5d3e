//! The API server: objects, their versions, and what a write finds.

use std::collections::BTreeMap;

use super::super::*;
use crate::{api::Phase, status};

#[derive(Debug, Default)]
pub(super) struct Api {
    pub(super) objects: BTreeMap<Uid, Object>,
    version: u64,
}

#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) cancel: bool,
    pub(super) status: Option<RequestStatus>,
    version: u64,
    /// Its workspace is not bound right now.
    pub(super) hidden: bool,
    /// Writes of an end that landed.
    ends: u32,
}

// === impl Api ===

impl Api {
    pub(super) fn create(&mut self, uid: &Uid) {
        self.objects.insert(uid.clone(), Object::default());
        self.touch(uid);
    }

    pub(super) fn touch(&mut self, uid: &Uid) {
        self.version += 1;
        if let Some(object) = self.objects.get_mut(uid) {
            object.version = self.version;
        }
    }

    pub(super) fn see(&self, uid: &Uid) -> Option<Observation> {
        let object = self.objects.get(uid).filter(|object| !object.hidden)?;
        Some(shown(
            uid,
            object.version,
            object.cancel,
            object.status.clone(),
        ))
    }

    pub(super) fn status(&self, uid: &Uid) -> Option<&RequestStatus> {
        self.objects.get(uid)?.status.as_ref()
    }

    /// The number of the next attempt, as the API has it.
    pub(super) fn next_attempt(&self, uid: &Uid) -> u32 {
        self.status(uid)
            .map_or(1, |status| status.failed + status.lost + 1)
    }

    pub(super) fn write(&mut self, write: &Write) -> WriteResult {
        let Some(object) = self.objects.get_mut(&write.uid) else {
            return WriteResult::Gone;
        };
        if object.hidden {
            return WriteResult::Retry;
        }
        if object.version.to_string() != write.resource_version {
            return WriteResult::Conflict(Box::new(self.see(&write.uid).expect("it is there")));
        }
        check_successor(&write.uid, object.status.as_ref(), &write.status);
        object.status = Some(write.status.clone());
        object.ends += u32::from(status::has_ended(&write.status));
        assert!(object.ends <= 1, "{} ended twice", write.uid);
        self.touch(&write.uid);
        WriteResult::Ok(self.version.to_string())
    }
}

/// What a pipeline that waits may rely on.
fn check_successor(uid: &Uid, before: Option<&RequestStatus>, after: &RequestStatus) {
    let Some(before) = before else { return };
    assert!(
        !status::has_ended(before),
        "{uid}: an end is written over with {after:?}"
    );
    assert_ne!(before, after, "{uid}: nothing changed");
    assert!(
        after.failed >= before.failed,
        "{uid}: {before:?} -> {after:?}"
    );
    assert!(after.lost >= before.lost, "{uid}: {before:?} -> {after:?}");
    let live = matches!(after.phase, Some(Phase::Running | Phase::Cancelling));
    if live && after.worker.is_some() {
        assert_eq!(
            after.attempt,
            Some(after.failed + after.lost + 1),
            "{uid}: {after:?}"
        );
    }
}
