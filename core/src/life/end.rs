//! How attempts and requests end.

use serde_json::{Map, Value};

use super::Moment;
use crate::{api::Artifact, ids::Holder, reason::Reason};

/// How, when and by whom a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// How.
    pub end: End,
    /// When.
    pub at: Moment,
    /// The attempt that ended it, or that would have been next.
    pub attempt: u32,
    /// The outcome that is recorded once the end is durable.
    pub by: Option<Reported>,
    /// The end is in the API.
    pub written: bool,
}

/// An outcome that a worker process keeps until it hears `Recorded`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Who.
    pub by: Holder,
    /// The attempt that ended, which may be counted by now.
    pub attempt: u32,
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
    /// It was ended: [`Reason::Cancelled`] or [`Reason::Replaced`].
    Cancelled(Reason),
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
    /// The request's time ran out, all attempts together.
    Deadline,
}

// === impl Reported ===

impl Reported {
    /// Whether it is that worker process's word on that attempt.
    #[must_use]
    pub fn is(&self, by: &Holder, attempt: u32) -> bool {
        self.by == *by && self.attempt == attempt
    }
}

// === impl FailureClass ===

impl FailureClass {
    /// Whether another try may help.
    #[must_use]
    pub fn may_be_mended(self) -> bool {
        match self {
            Self::Retryable | Self::TimedOut => true,
            Self::Permanent | Self::Invalid | Self::Deadline => false,
        }
    }
}
