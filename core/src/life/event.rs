//! What can happen to a request and what then has to be done.

use super::{End, Life, Outcome, Stop};
use crate::{
    api::Progress,
    ids::{Holder, Uid},
};

/// What can happen to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum LifeEvent {
    /// The scheduler's turn came.
    Offer,
    /// The ticket could not be placed, or was spent on a claim that was refused.
    Unplaced,
    /// It may not start now after all: its ticket is worth nothing.
    Withdrawn,
    /// Nobody claims, so the ticket may be lost.
    Unclaimed,
    /// A worker bids for an attempt.
    Claimed {
        /// Who.
        by: Holder,
        /// Which.
        attempt: u32,
        /// The parameters are at hand, without a read.
        inline: bool,
    },
    /// The read of the parameters for a claim ended, well or not.
    ParamsRead {
        /// They are at hand.
        ok: bool,
    },
    /// A worker tells how far it is.
    Progressed {
        /// Who.
        by: Holder,
        /// Which.
        attempt: u32,
        /// How far.
        progress: Progress,
    },
    /// A worker tells how an attempt ended.
    Ended {
        /// Who.
        by: Holder,
        /// Which.
        attempt: u32,
        /// How.
        outcome: Outcome,
    },
    /// A worker's greeting lists the attempt as running or as ended and unrecorded.
    Greeted {
        /// Who.
        by: Holder,
        /// Which.
        attempt: u32,
    },
    /// A worker that was granted a claim does not list it.
    Missing {
        /// Who.
        by: Holder,
    },
    /// The lease of a worker ended.
    LeaseEnded {
        /// Whose.
        by: Holder,
    },
    /// The period in which nothing was granted is over, and nobody greeted with this request.
    TakeoverEnded,
    /// It is to end before its job has.
    Stop(Stop),
    /// A clock ran out: the queue's, the deadline's, or a pause ended.
    Clock,
    /// An earlier request has the same idempotency key.
    Behind {
        /// Which.
        earlier: Uid,
        /// To share its end; otherwise to take its place.
        attached: bool,
    },
    /// It waits for no earlier request any more.
    Free,
    /// The request that it is attached to ended like that.
    Shared(End),
    /// The object is gone.
    Gone,
    /// The object is there (again).
    Seen,
    /// The newest state is in the API.
    Written,
    /// Another writer ended it.
    ForeignEnd,
    /// Another watcher's live status counts more attempts than are known here: it is what holds.
    Overtaken(Box<Life>),
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Put it into the schedule.
    Enqueue,
    /// Put it into the schedule a little later.
    EnqueueLater,
    /// Publish its ticket.
    Publish,
    /// Read its parameters for the claim.
    ReadParams,
    /// Send the assignment.
    Grant(Holder),
    /// Answer the claim on that attempt with no, for that reason.
    Refuse(Holder, u32, &'static str),
    /// Tell the worker to stop the job of that attempt, for that reason.
    Stop(Holder, u32, &'static str),
    /// The outcome of that attempt is durable.
    Record(Holder, u32),
    /// The outcome of that attempt changed nothing.
    Stale(Holder, u32),
    /// Write the live state, some time.
    Save,
    /// Write the state at once: an end, or counts that the next ticket waits for.
    SaveNow,
    /// Drop it from memory.
    Forget,
}

/// Why an event changed nothing. The word is a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored(pub &'static str);
