//! What can happen in the simulated world.

use super::{super::*, jobs::JobEnd};
use crate::{life::Outcome, worker_session as ws};

/// A process: which of its kind, and how often that one was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pub(super) slot: usize,
    pub(super) number: u32,
}

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Inside a watcher process.
    Watcher(Process, Input),
    /// Inside a worker process.
    Worker(Process, Order),
    /// A message of a worker arrives.
    Up {
        session: SessionId,
        event: Box<Event>,
    },
    /// A watcher finds that a stream has ended.
    UpEnds {
        session: SessionId,
    },
    /// A message of a watcher arrives.
    Down {
        session: SessionId,
        message: Box<ToWorker>,
    },
    /// A worker finds that a stream has ended.
    DownEnds {
        session: SessionId,
    },
    /// A watcher's request for the lead reaches the Lease object.
    LeaseAsked {
        by: Process,
        sent: Duration,
    },
    /// A status write reaches the API server; whether anybody still waits for its answer.
    WriteLands {
        by: Process,
        write: Box<Write>,
        heard: bool,
    },
    /// All processes of a job are over.
    JobOver {
        run: u64,
        end: JobEnd,
    },
    /// A worker's warden looks at the lease that it was told.
    Warden(Process),
    CrashWatcher {
        slot: usize,
    },
    StartWatcher {
        slot: usize,
    },
    StartWorker {
        slot: usize,
    },
    /// A ticket is in the queue.
    Ticket(AttemptId),
    Dispatch,
    Object(Change),
    Unpause,
    Fault,
    /// Is everything over?
    Survey,
}

/// What happens inside a watcher process.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// An answer, or a word of the broker.
    Event(Box<Event>),
    /// Something that the watch of that number tells.
    Watched {
        epoch: u32,
        event: Box<Event>,
    },
    /// Effects that a freeze held up in the middle of a step.
    Effects(Vec<Effect>),
    /// Time for it, unless an earlier one came.
    Wake {
        due: Duration,
    },
    /// A full list of the endpoint is read.
    List {
        epoch: u32,
    },
    /// After a conflict the object is read.
    Read(Uid),
    EndpointBack,
    /// It asks for the lead, or to keep it.
    Ask,
    /// It has the lead; it had asked at that moment.
    Leads {
        sent: Duration,
    },
    /// It is to end: what it owes the API comes first.
    Drain,
    /// It owes nothing any more and leaves, with a mark for the next or without.
    Left {
        mark: bool,
    },
    /// Its time to end is over.
    Ends,
}

/// What happens inside a worker process.
#[derive(Clone, Debug)]
pub(super) enum Order {
    Session(ws::Event<(), Outcome>),
    Effects(Vec<ws::Effect<(), Outcome>>),
    Tick {
        due: Duration,
    },
    Connect,
    /// A greeting was not answered in time.
    GiveUp(SessionId),
}

/// What people do to objects.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create(Uid),
    Cancel(Uid),
    Delete(Uid),
    Hide(Uid),
    Show(Uid),
}
