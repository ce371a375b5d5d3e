//! What is decided on requests, as an audit is told of it: who asked, who ran it, how it ended. Never what
//! was asked or answered.

use std::sync::Arc;

use crate::{
    api::RequestStatus,
    ids::{Address, Holder, Uid},
    reason::Reason,
};

/// One decision on one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Identity.
    pub uid: Uid,
    /// Where it lives.
    pub address: Address,
    /// The service that it names; empty when its spec cannot be read.
    pub service: Arc<str>,
    /// Who asked, by the request's own word.
    pub requester: Arc<str>,
    /// What was decided, or happened.
    pub what: What,
}

/// What was decided on a request, or happened to it.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// It may run.
    Accepted(Option<Arc<Judged>>),
    /// It may not: the end of it.
    Rejected(Reason, Option<Arc<Judged>>),
    /// An attempt was given to a worker.
    Started {
        /// Which.
        attempt: u32,
        /// To whom.
        by: Holder,
        /// With these parameters, JSON text.
        params: Arc<str>,
    },
    /// A worker was found to run an attempt that an earlier watcher gave it.
    Adopted {
        /// Which.
        attempt: u32,
        /// Who.
        by: Holder,
    },
    /// A worker has an attempt no more.
    AttemptEnded {
        /// Which.
        attempt: u32,
        /// Who had it.
        worker: Arc<str>,
        /// How it ended.
        how: AttemptEnd,
    },
    /// It is to end before its job has.
    Cancelled(Cancel),
    /// Its end is in the API.
    Ended {
        /// What the API shows.
        status: Box<RequestStatus>,
        /// Somebody else wrote it.
        foreign: bool,
    },
}

/// What was known of a request when it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The name of the rule that decided.
    pub rule: Arc<str>,
    /// A digest of its parameters.
    pub params: [u8; 32],
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Its worker reports success.
    Succeeded,
    /// Its worker reports a failure.
    Failed(Reason),
    /// Its worker stopped it, as it was told to.
    Cancelled,
    /// Its worker stopped it for reasons of its own.
    Interrupted,
    /// Its worker fell silent.
    Lost,
    /// Its worker never began.
    Void,
    /// Another watcher decided on the request meanwhile.
    Overtaken,
}

/// Why a request is to end before its job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// `spec.cancel` is set.
    Asked,
    /// Its object was deleted.
    Deleted,
    /// A newer request with its idempotency key takes its place.
    Replaced,
    /// Its time is over.
    Deadline,
    /// Its workspace, or the kind there, has been away for too long.
    Vanished,
    /// Another instance serves it.
    Released,
}
