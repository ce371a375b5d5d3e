//! The life of one request: its states, what can happen to it, and what then has to be done.
//!
//! `decide` holds the transitions; nothing here changes a state.

mod end;
mod event;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    api::{PastAttempt, Progress},
    ids::{Holder, Now, Uid},
};
pub use end::{Done, End, FailureClass, Outcome, Reported};
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
    /// It is to end before its job has, and why.
    pub stop: Option<Stop>,
    /// When it was accepted.
    pub queued: Moment,
    /// When the first attempt started: the queue clock is over then.
    pub first_started: Option<Moment>,
    /// When the newest attempt started.
    pub started: Option<Moment>,
    /// The worker of the newest attempt.
    pub worker: Option<Arc<str>>,
    /// How far the running attempt is.
    pub progress: Option<Progress>,
    /// The newest attempts that ended without ending the request, oldest first; at most
    /// [`PAST_ATTEMPTS_MAX`].
    pub past: Vec<PastAttempt>,
}

/// So many ended attempts are told.
pub const PAST_ATTEMPTS_MAX: usize = 5;

/// Why a request is to end before its job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// The caller cancelled it.
    Cancelled,
    /// A newer request with the same idempotency key takes its place.
    Replaced,
    /// Its time is over.
    Deadline,
}

/// When a request's clocks run out (monotonic); none is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dues {
    /// It must have started.
    pub queue: Option<Duration>,
    /// It must have ended.
    pub deadline: Option<Duration>,
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
        /// What is recorded once the counts are written.
        record: Option<Reported>,
        /// How long it pauses then; zero for not at all.
        pause: Duration,
    },
    /// It pauses after a failed attempt.
    Backoff {
        /// Until when (monotonic).
        until: Duration,
    },
    /// It waits for an earlier request with the same idempotency key.
    Behind {
        /// Which.
        earlier: Uid,
        /// To share its end; otherwise to take its place once it has stopped.
        attached: bool,
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

// === impl Life ===

impl Life {
    /// A request that was just accepted.
    #[must_use]
    pub fn accepted(queued: Moment) -> Self {
        Self {
            state: State::Waiting,
            failed: 0,
            lost: 0,
            stop: None,
            first_started: None,
            queued,
            started: None,
            worker: None,
            progress: None,
            past: vec![],
        }
    }

    /// The number of the newest attempt: always failed + lost + 1 while live.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        match &self.state {
            State::Done(done) => done.attempt,
            _ => self.failed.saturating_add(self.lost).saturating_add(1),
        }
    }

    /// Since when the newest attempt was due: it was accepted then, or the attempt before it ended.
    #[must_use]
    pub fn due(&self) -> Moment {
        let before = self.past.last().and_then(|past| past.end_time);
        before.map_or(self.queued, Moment::told)
    }

    /// When a clock of it runs out next, if time alone can change it: its pause, the queue's clock or
    /// the deadline's.
    #[must_use]
    pub fn clock_at(&self, dues: Dues) -> Option<Duration> {
        let queue = dues.queue.filter(|_| self.first_started.is_none());
        let clocks = match &self.state {
            State::Recovering | State::Stopping { .. } | State::Done(_) => [None; 3],
            State::Running { .. } => [dues.deadline.filter(|_| self.stop.is_none()), None, None],
            State::Reserved { .. } | State::Behind { attached: true, .. } => {
                [dues.deadline, None, None]
            }
            State::Backoff { until } => [dues.deadline, queue, Some(*until)],
            State::Waiting
            | State::Saving { .. }
            | State::Offered { .. }
            | State::Behind { .. } => [dues.deadline, queue, None],
        };
        clocks.into_iter().flatten().min()
    }

    /// Whether a watcher that knows only the status before this state would decide otherwise.
    #[must_use]
    pub fn must_be_told(&self) -> bool {
        match &self.state {
            State::Waiting
            | State::Offered { .. }
            | State::Backoff { .. }
            | State::Behind { .. } => false,
            State::Recovering => self.worker.is_some() || self.stop.is_some(),
            _ => true,
        }
    }

    /// Whether a worker reported what is to be written, and keeps its slot until it hears so.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        match &self.state {
            State::Saving { record, .. } => record.is_some(),
            State::Done(done) => done.by.is_some() && !done.written,
            _ => false,
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
    /// How long ago it was: by the wall clock only where a status told it, and never less than nothing.
    #[must_use]
    pub fn age(&self, now: Now) -> Duration {
        self.mono.map_or_else(
            || Duration::try_from(self.wall.duration_until(now.wall)).unwrap_or_default(),
            |mono| now.mono.saturating_sub(mono),
        )
    }

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
