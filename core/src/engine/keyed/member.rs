//! What a request is to others with its key.

use super::{
    super::request::{Request, Shown},
    Ending, holds_key,
};
use crate::{
    life::{End, State},
    status::MirroredRun,
};

/// What of a request's state matters to others with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Stage {
    Live,
    Behind,
    Gone,
    Done,
}

// === impl Stage ===

impl Stage {
    pub(in crate::engine) fn of(state: &State) -> Self {
        match state {
            State::Behind { .. } => Self::Behind,
            State::Stopping { back: false, .. } => Self::Gone,
            State::Done(_) => Self::Done,
            _ => Self::Live,
        }
    }
}

// === impl Request ===

impl Request {
    /// A live status of it is in the API.
    pub(in crate::engine) fn was_accepted(&self) -> bool {
        self.shown.as_ref().is_some_and(Shown::is_accepted)
    }

    /// How it ended, as far as others with its key are concerned.
    pub(in crate::engine) fn ending(&self) -> Option<Ending> {
        let own = self.idempotency_key.is_some() && self.mirror.is_none();
        match self.end()? {
            End::Succeeded { .. } if own => Some(Ending::Succeeded),
            End::Foreign if own && holds_key(self.shown.as_ref().and_then(Shown::end)) => {
                Some(Ending::Succeeded)
            }
            End::Failed { .. } if own => Some(Ending::Failed),
            _ => Some(Ending::Dropped),
        }
    }

    /// How it ended.
    pub(in crate::engine) fn end(&self) -> Option<&End> {
        match &self.life.state {
            State::Done(done) => Some(&done.end),
            _ => None,
        }
    }

    /// What an attached request shows of it.
    pub(in crate::engine) fn run(&self) -> MirroredRun {
        MirroredRun::of(&self.life)
    }

    /// After each change: only an attached request mirrors another one, and an end that it did not
    /// share is its own.
    pub(in crate::engine) fn keep_mirror(&mut self, before: Stage, shared: bool) {
        match (before, Stage::of(&self.life.state)) {
            (_, Stage::Behind) | (Stage::Done, Stage::Done) => {}
            (Stage::Behind, Stage::Done) if shared => {}
            (Stage::Behind, Stage::Done) => {
                if let Some(mirror) = &mut self.mirror {
                    mirror.run = None;
                }
            }
            _ => self.mirror = None,
        }
    }
}
