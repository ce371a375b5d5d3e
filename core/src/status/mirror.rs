//! What an attached request shows of the earlier one with its idempotency key.

use std::sync::Arc;

use super::About;
use crate::{
    api::{Progress, RequestStatus},
    life::{Life, Moment},
};

/// The earlier request, as an attached one shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// Its name.
    pub name: Arc<str>,
    /// Its run, while it runs or when its end is shared.
    pub run: Option<MirroredRun>,
}

/// A run of another request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MirroredRun {
    /// When it started.
    pub started: Option<Moment>,
    /// Who has or had it.
    pub worker: Option<Arc<str>>,
    /// How far it is.
    pub progress: Option<Progress>,
}

// === impl MirroredRun ===

impl MirroredRun {
    /// Of a request that is known here.
    #[must_use]
    pub fn of(life: &Life) -> Self {
        Self {
            started: life.started,
            worker: life.worker.clone(),
            progress: life.progress.clone(),
        }
    }

    /// As a status tells it.
    #[must_use]
    pub fn told(status: &RequestStatus) -> Self {
        Self {
            started: status.start_time.map(Moment::told),
            worker: status.worker.as_deref().map(Into::into),
            progress: status.progress.clone(),
        }
    }
}

// === impl About ===

impl About {
    pub(super) fn mirrored_run(&self) -> Option<&MirroredRun> {
        self.mirror.as_ref()?.run.as_ref()
    }
}
