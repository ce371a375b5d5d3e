//! What can happen in the simulated world.

use super::{super::*, jobs::JobEnd};
use crate::{life::Outcome, worker_session as ws};

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Action {
    ToWatcher {
        session: SessionId,
        event: Box<Event>,
    },
    ToWorker {
        session: SessionId,
        message: Box<ToWorker>,
    },
    ClosedAtWatcher {
        session: SessionId,
    },
    ClosedAtWorker {
        session: SessionId,
    },
    /// Of the watcher process with that number: answers, watch events, time.
    Watcher {
        generation: u32,
        event: Box<Event>,
    },
    WriteLands {
        generation: u32,
        write: Box<Write>,
    },
    Wake {
        generation: u32,
    },
    List {
        generation: u32,
        epoch: u32,
    },
    EndpointBack {
        generation: u32,
    },
    StopWatcher {
        generation: u32,
    },
    StartWatcher,
    Connect {
        worker: usize,
        incarnation: u32,
    },
    Tick {
        worker: usize,
        incarnation: u32,
    },
    Job {
        worker: usize,
        incarnation: u32,
        event: ws::Event<(), Outcome>,
    },
    JobEnds {
        worker: usize,
        incarnation: u32,
        id: AttemptId,
        end: JobEnd,
    },
    Warden {
        worker: usize,
        incarnation: u32,
    },
    StartWorker {
        worker: usize,
    },
    Ticket(AttemptId),
    Dispatch,
    Create(Uid),
    Cancel(Uid),
    Delete(Uid),
    Hide {
        uid: Uid,
        hidden: bool,
    },
    Fault,
}
