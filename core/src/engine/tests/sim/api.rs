//! The API server: objects, their versions, and what a write finds.

use std::collections::{BTreeMap, VecDeque};

use super::{super::*, LOST_MAX, dice::Dice};
use crate::{api::Phase, status};

/// So many old views are kept, one a second.
const VIEWS: usize = 30;

#[derive(Debug, Default)]
pub(super) struct Api {
    pub(super) objects: BTreeMap<Uid, Object>,
    version: u64,
    old: VecDeque<BTreeMap<Uid, Object>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    pub(super) spec: RequestSpec,
    pub(super) created: Duration,
    pub(super) status: Option<RequestStatus>,
    version: u64,
    /// Its workspace is not bound right now.
    pub(super) hidden: bool,
}

// === impl Api ===

impl Api {
    pub(super) fn touch(&mut self, uid: &Uid) {
        self.version += 1;
        if let Some(object) = self.objects.get_mut(uid) {
            object.version = self.version;
        }
    }

    pub(super) fn see(&self, uid: &Uid) -> Option<Observation> {
        self.objects.get(uid)?.seen(uid)
    }

    pub(super) fn status(&self, uid: &Uid) -> Option<&RequestStatus> {
        self.objects.get(uid)?.status.as_ref()
    }

    pub(super) fn has_ended(&self, uid: &Uid) -> bool {
        self.status(uid).is_some_and(status::has_ended)
    }

    /// The number of the next attempt, as the API has it.
    pub(super) fn next_attempt(&self, uid: &Uid) -> u32 {
        self.status(uid)
            .map_or(1, |status| status.failed + status.lost + 1)
    }

    /// What was there some time ago, as far as it was kept.
    pub(super) fn old_view(&self, dice: &mut Dice) -> Option<BTreeMap<Uid, Object>> {
        self.old.get(dice.below(self.old.len())).cloned()
    }

    pub(super) fn keep_view(&mut self) {
        if self.old.len() == VIEWS {
            self.old.pop_front();
        }
        self.old.push_back(self.objects.clone());
    }

    /// # Errors
    /// When the new status is one that a pipeline that waits must never see after the old one.
    pub(super) fn write(&mut self, write: &Write) -> Result<WriteResult, String> {
        let Some(object) = self.objects.get_mut(&write.uid) else {
            return Ok(WriteResult::Gone);
        };
        if object.hidden {
            return Ok(WriteResult::Retry);
        }
        if object.version.to_string() != write.resource_version {
            let seen = object.seen(&write.uid).expect("it is not hidden");
            return Ok(WriteResult::Conflict(Box::new(seen)));
        }
        if let Some(before) = &object.status {
            check_successor(before, &write.status)?;
        }
        check_budgets(&object.spec, &write.status)?;
        object.status = Some(write.status.clone());
        self.touch(&write.uid);
        Ok(WriteResult::Ok(self.version.to_string()))
    }
}

// === impl Object ===

impl Object {
    pub(super) fn new(spec: RequestSpec, created: Duration) -> Self {
        Self {
            spec,
            created,
            ..Self::default()
        }
    }

    /// Nothing more will become of it.
    pub(super) fn is_over(&self) -> bool {
        let ended = self.status.as_ref().is_some_and(status::has_ended);
        ended && self.spec.ttl_seconds_after_finished.is_none()
    }

    pub(super) fn seen(&self, uid: &Uid) -> Option<Observation> {
        let (version, status) = (self.version, self.status.clone());
        let seen = || Observation {
            spec: Ok(self.spec.clone()),
            created: Some(at(self.created).wall),
            // Some come with other parameters.
            digest: Some([u8::from(uid.0.len().is_multiple_of(5)); 16]),
            ..shown(uid, version, false, status)
        };
        (!self.hidden).then(seen)
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

fn check_budgets(spec: &RequestSpec, after: &RequestStatus) -> Result<(), String> {
    let retries = spec.retries.unwrap_or_default();
    let failed = status::has_ended(after) || after.failed <= retries;
    let lost = status::has_ended(after) || after.lost <= LOST_MAX;
    if !failed || !lost || after.failed > retries + 1 || after.lost > LOST_MAX + 1 {
        return Err(format!("a budget is exceeded: {after:?}"));
    }
    Ok(())
}

/// What a pipeline that waits may rely on.
fn check_successor(before: &RequestStatus, after: &RequestStatus) -> Result<(), String> {
    if status::has_ended(before) {
        return Err("an end is written over".into());
    }
    if before == after {
        return Err("a write changes nothing".into());
    }
    if after.failed < before.failed || after.lost < before.lost {
        return Err("a count falls".into());
    }
    // One that is attached tells of another's attempt.
    let live = matches!(after.phase, Some(Phase::Running | Phase::Cancelling))
        && after.attached_to.is_none();
    if live && after.worker.is_some() && after.attempt != Some(after.failed + after.lost + 1) {
        return Err("the attempt is not failed + lost + 1".into());
    }
    Ok(())
}
