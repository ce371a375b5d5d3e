//! What goes into the worker's session and what comes out.

use std::time::Duration;

use crate::ids::AttemptId;

/// A delivery at the broker, numbered by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketNo(pub u64);

/// What the worker's configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How many attempts it holds at most.
    pub slots: u32,
    /// How long a granted attempt's ticket is held at the broker.
    pub hold: Duration,
    /// The shortest time between two progress messages of one attempt.
    pub progress_interval: Duration,
}

/// A job's progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u32,
    /// For people.
    pub message: String,
}

/// The watcher's answer to a greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// How long the worker may act after it sent its last acknowledged heartbeat.
    pub lease: Duration,
    /// The time between two heartbeats.
    pub heartbeat: Duration,
    /// What it must stop and forget.
    pub stop: Vec<AttemptId>,
}

/// What happens to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<A, O> {
    /// A ticket arrived.
    Ticket {
        /// The delivery.
        ticket: TicketNo,
        /// The attempt on offer.
        id: AttemptId,
        /// The service to run.
        service: String,
    },
    /// The broker's connection is gone, and with it every ticket that was held.
    BrokerLost,
    /// A stream is about to be opened; it is greeted first.
    Opening,
    /// The watcher welcomes the worker.
    Welcome(Welcome),
    /// The stream is gone, or was never there.
    Disconnected,
    /// The watcher renewed the lease.
    HeartbeatAck {
        /// The heartbeat's number.
        seq: u64,
    },
    /// A claim is granted.
    Assigned {
        /// The attempt.
        id: AttemptId,
        /// What to do.
        assignment: A,
    },
    /// A claim is not granted.
    Refused {
        /// The attempt.
        id: AttemptId,
    },
    /// The job is to be stopped.
    Cancel {
        /// The attempt.
        id: AttemptId,
    },
    /// The outcome is durable.
    Recorded {
        /// The attempt.
        id: AttemptId,
    },
    /// The outcome came too late and changed nothing.
    Stale {
        /// The attempt.
        id: AttemptId,
    },
    /// A job tells how far it is.
    Progress {
        /// The attempt.
        id: AttemptId,
        /// How far.
        progress: Progress,
    },
    /// A job has ended, and none of its processes is left.
    JobEnded {
        /// The attempt.
        id: AttemptId,
        /// How.
        end: End<O>,
    },
    /// Take nothing new, finish what runs, leave.
    Drain,
    /// The time to finish is over: stop what still runs.
    DrainOver,
    /// Time has passed.
    Tick,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<O> {
    /// By itself: succeeded or failed.
    Done(O),
    /// Because it was told to.
    Stopped,
}

/// How an attempt ended, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// Succeeded or failed.
    Done(O),
    /// Stopped because the watcher asked for it.
    Cancelled,
    /// Stopped because the worker leaves.
    Interrupted,
}

/// What becomes of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Acknowledge it.
    Done,
    /// Acknowledge it although its job still takes a slot: stop consuming first, so that the broker
    /// does not send another one for it.
    StillRunning,
    /// Give it back to the queue; stop consuming first, or it comes straight back.
    Return,
}

/// What goes to the watcher ahead of any progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<O> {
    /// The greeting.
    Hello {
        /// What runs.
        running: Vec<AttemptId>,
        /// What has ended and is not recorded.
        outcomes: Vec<AttemptId>,
        /// Its number: one that arrives after a newer one is void.
        greeting: u64,
    },
    /// Renews the lease.
    Heartbeat {
        /// Its number.
        seq: u64,
        /// All that takes a slot.
        held: Vec<AttemptId>,
        /// Free slots.
        free: u32,
        /// It takes nothing new.
        draining: bool,
    },
    /// A bid.
    Claim {
        /// The attempt.
        id: AttemptId,
        /// Its service.
        service: String,
    },
    /// How an attempt ended.
    Outcome {
        /// The attempt.
        id: AttemptId,
        /// How.
        outcome: Outcome<O>,
    },
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<A, O> {
    /// Send to the watcher, in order, ahead of progress.
    Send(Message<O>),
    /// Send to the watcher when nothing else waits.
    Progress {
        /// The attempt.
        id: AttemptId,
        /// How far.
        progress: Progress,
    },
    /// Settle a ticket.
    Settle {
        /// The delivery.
        ticket: TicketNo,
        /// How.
        how: Settlement,
    },
    /// From now on, hold at most so many unclaimed tickets; with 0 stop consuming.
    Intake {
        /// Free slots, or 0.
        free: u32,
    },
    /// Start the job.
    Start {
        /// The attempt.
        id: AttemptId,
        /// What to do.
        assignment: A,
    },
    /// Ask the job to end, kill it after its grace.
    Stop {
        /// The attempt.
        id: AttemptId,
    },
    /// Kill the job now.
    Kill {
        /// The attempt.
        id: AttemptId,
    },
    /// Drop the stream and greet again.
    Disconnect,
    /// Drained: nothing is left to do.
    Leave,
}

/// Why an event changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It names an attempt that this worker does not hold.
    Unknown,
    /// The attempt is past that.
    Late,
    /// It fits no greeting, or there is no stream.
    NoSession,
    /// A killed job has not ended yet, so that no greeting may go out.
    StillDying,
}

// === impl Ignored ===

impl Ignored {
    /// A word for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Late => "late",
            Self::NoSession => "no_session",
            Self::StillDying => "still_dying",
        }
    }
}
