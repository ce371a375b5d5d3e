//! What an audit is told by one engine makes sense: an attempt starts before it ends, one after the other,
//! and each is told once.

use std::collections::HashMap;

use super::*;
use crate::audit::{AttemptEnd, Audit, Cancel, What};

/// What one engine has told so far.
#[derive(Debug, Default)]
pub(super) struct Trails(HashMap<Uid, Trail>);

#[derive(Debug, Default)]
struct Trail {
    /// The attempt that a worker has.
    runs: Option<u32>,
    /// The newest attempt that was started.
    newest: u32,
    accepted: bool,
    ended: bool,
}

/// What an audit is told by these effects.
pub(super) fn told(effects: &[Effect]) -> Vec<Audit> {
    let audit = |effect: &Effect| match effect {
        Effect::Audit(audit) => Some((**audit).clone()),
        _ => None,
    };
    effects.iter().filter_map(audit).collect()
}

// === impl Trails ===

impl Trails {
    /// Panics when it makes no sense.
    pub(super) fn hear(&mut self, effects: &[Effect]) {
        for audit in told(effects) {
            let trail = self.0.entry(audit.uid.clone()).or_default();
            trail.goes_on(&audit);
        }
        for effect in effects {
            if let Effect::Send(_, ToWorker::Assignment(assignment)) = effect {
                let AttemptId { uid, attempt } = &assignment.id;
                let newest = self.0.get(uid).map(|trail| trail.newest);
                assert_eq!(newest, Some(*attempt), "granted without a word: {uid}");
            }
        }
    }
}

// === impl Trail ===

impl Trail {
    fn goes_on(&mut self, audit: &Audit) {
        let why = format!("{audit:?} after {self:?}");
        match &audit.what {
            What::Accepted(_) => {
                assert!(!self.accepted && !self.ended, "{why}");
                self.accepted = true;
            }
            What::Started { attempt, .. } | What::Adopted { attempt, .. } => {
                assert!(self.runs.is_none() && !self.ended, "{why}");
                assert!(*attempt >= self.newest, "{why}");
                (self.runs, self.newest) = (Some(*attempt), *attempt);
            }
            What::AttemptEnded { attempt, how, .. } => {
                let inherited = matches!(how, AttemptEnd::Lost | AttemptEnd::Overtaken);
                let known = self.runs.take() == Some(*attempt);
                assert!(known || inherited, "{why}");
            }
            What::Cancelled(Cancel::Asked | Cancel::Replaced | Cancel::Deadline) => {
                assert!(!self.ended, "{why}");
            }
            // The object may come back, as good as new.
            What::Cancelled(_) => (self.accepted, self.ended) = (false, false),
            What::Rejected(..) | What::Ended { .. } => {
                assert!(self.runs.is_none() && !self.ended, "{why}");
                self.ended = true;
            }
        }
    }
}
