//! The life of one request: its states, what can happen to it, and what then has to be done.
//!
//! `decide` holds the transitions; nothing here changes a state.

mod event;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    api::{Artifact, Progress},
    ids::{Holder, Now},
    reason::Reason,
};
pub use event::{Act, Ignored, LifeEvent};

/// The life of one request so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// Where it stands.
    pub state: State,
    /// Attempts that a worker reported as failed.
    pub failed: u32,
    /// Attempts whose worker fell silent.
    pub lost: u32,
    /// The caller wants it to end.
    pub cancel: bool,
    /// When it was accepted.
    pub queued: Moment,
    /// When the newest attempt started.
    pub started: Option<Moment>,
    /// The worker of the newest attempt.
    pub worker: Option<Arc<str>>,
    /// How far the running attempt is.
    pub progress: Option<Progress>,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For durations. A moment that was read from a status has none.
    pub mono: Option<Duration>,
    /// For people, whole seconds.
    pub wall: Timestamp,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Inherited: an earlier watcher may have granted a claim that no status tells of. Nothing is
    /// granted until the workers had one lease to greet.
    Recovering,
    /// Its turn will come; no ticket is out.
    Waiting,
    /// The counts must be durable before the next ticket; then an outcome may be recorded.
    Saving {
        /// Who hears `Recorded` once the counts are written.
        record: Option<Holder>,
    },
    /// A ticket is out.
    Offered {
        /// Since when (monotonic).
        since: Duration,
    },
    /// Claimed; the parameters are being read.
    Reserved {
        /// The claimant.
        by: Holder,
    },
    /// A worker has it.
    Running {
        /// Which.
        by: Holder,
    },
    /// The object is gone and a worker was told to stop: kept until it has, or its lease ended.
    Stopping {
        /// Which.
        by: Holder,
        /// The object came back meanwhile.
        back: bool,
    },
    /// Ended. Nothing changes that any more.
    Done(Done),
}

/// How, when and by whom a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// How.
    pub end: End,
    /// When.
    pub at: Moment,
    /// The worker process whose outcome it was, to be told once the end is durable.
    pub by: Option<Holder>,
    /// The end is in the API.
    pub written: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The job succeeded.
    Succeeded {
        /// Its result.
        result: Option<Map<String, Value>>,
        /// What it left elsewhere.
        artifacts: Vec<Artifact>,
    },
    /// The job failed, or was lost too often.
    Failed {
        /// The word.
        reason: Reason,
        /// For people.
        message: String,
    },
    /// It was never accepted.
    Rejected {
        /// The word.
        reason: Reason,
        /// For people.
        message: String,
    },
    /// The caller ended it.
    Cancelled,
    /// Someone else wrote an end; it stands.
    Foreign,
}

/// How an attempt ended, as its worker reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Well.
    Succeeded {
        /// The result.
        result: Option<Map<String, Value>>,
        /// What it left elsewhere.
        artifacts: Vec<Artifact>,
    },
    /// Badly.
    Failed {
        /// Whether another try may help.
        class: FailureClass,
        /// The word.
        reason: Reason,
        /// For people.
        message: String,
    },
    /// Stopped because the watcher asked.
    Cancelled,
    /// Stopped by the worker for its own reasons.
    Interrupted,
}

/// Whether another try may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// It may.
    Retryable,
    /// It will not.
    Permanent,
    /// The request itself is wrong.
    Invalid,
    /// The attempt's time ran out.
    TimedOut,
}

// === impl Life ===

impl Life {
    /// A request that was just accepted.
    #[must_use]
    pub fn accepted(queued: Moment) -> Self {
        Self {
            state: State::Waiting,
            failed: 0,
            lost: 0,
            cancel: false,
            queued,
            started: None,
            worker: None,
            progress: None,
        }
    }

    /// The number of the newest attempt: always failed + lost + 1 while live. A failed end keeps the
    /// number of the attempt that failed.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let next = self.failed.saturating_add(self.lost).saturating_add(1);
        match &self.state {
            State::Done(Done {
                end: End::Failed { .. },
                ..
            }) => (next - 1).max(1),
            _ => next,
        }
    }

    /// The worker process that holds it, if any.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        match &self.state {
            State::Reserved { by } | State::Running { by } | State::Stopping { by, .. } => Some(by),
            _ => None,
        }
    }
}

// === impl Moment ===

impl Moment {
    /// Now, in whole seconds for people.
    #[must_use]
    pub fn at(now: Now) -> Self {
        Self {
            mono: Some(now.mono),
            ..Self::told(now.wall)
        }
    }

    /// As a status tells it: Kubernetes times have no fraction.
    #[must_use]
    pub fn told(wall: Timestamp) -> Self {
        let seconds = Timestamp::from_second(wall.as_second());
        Self {
            mono: None,
            wall: seconds.expect("a second of a timestamp is a timestamp"),
        }
    }
}
