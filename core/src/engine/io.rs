//! What goes into the engine and what comes out.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    admit::{Catalogue, Rejection},
    api::{Progress, RequestSpec, RequestStatus},
    audit::{Audit, Judged},
    flow::{Pause, Tenants},
    ids::{Address, AttemptId, Holder, SessionId, Source, Uid},
    life::{Moment, Outcome},
    reason::Reason,
    trace::Trace,
    writes::{Pace, Urgency},
};

/// How the engine behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the ISC instance.
    pub instance: Arc<str>,
    /// The worker's lease: what a Welcome tells. The engine itself counts [`Config::own_lease`].
    pub lease: Duration,
    /// The heartbeat interval that a Welcome tells.
    pub heartbeat: Duration,
    /// Unclaimed tickets per service in the broker, when the sessions offer fewer slots.
    pub window: usize,
    /// So many lost attempts are tried again.
    pub lost_max: u32,
    /// How eager status writes are.
    pub pace: Pace,
    /// How long the requests of a vanished endpoint, or of a kind that is not served any more, are kept.
    pub suspect: Duration,
    /// No claim is granted while more reports of workers than this wait for their write.
    pub backlog_max: usize,
    /// The services.
    pub catalogue: Catalogue,
    /// What one tenant may have.
    pub tenants: Tenants,
    /// What is paused.
    pub pause: Pause,
    /// Its name is durable in the status of a request before anything of it is started: where instances
    /// select among the requests of one API.
    pub claims: bool,
    /// Instances that are no more, whose requests it takes over when it starts.
    pub adopts: BTreeSet<Arc<str>>,
    /// A request for a service that does not exist is rejected when it is that old.
    pub unknown_service: Duration,
    /// What is decided is told, as [`Effect::Audit`].
    pub audit: bool,
}

/// What can change while the engine runs.
#[derive(Clone, Debug)]
pub struct Reconfigure {
    /// The services.
    pub catalogue: Catalogue,
    /// What one tenant may have.
    pub tenants: Tenants,
    /// What is paused.
    pub pause: Pause,
}

/// A request as the API shows it.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Identity.
    pub uid: Uid,
    /// Address.
    pub address: Address,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// The spec without its params, or why it cannot be read.
    pub spec: Result<RequestSpec, String>,
    /// The params.
    pub params: Params,
    /// Tells the parameters apart: equal ones have equal digests. Only where there is a key.
    pub digest: Option<Digest>,
    /// The service's concurrency key for it, or why its parameters give none.
    pub flow_key: Result<Option<Arc<str>>, String>,
    /// The status, when there is a readable one.
    pub status: Option<RequestStatus>,
    /// Why it is not accepted, though the engine would. Counts only when the request is admitted: one that
    /// was accepted is never judged again.
    pub refusal: Option<Rejection>,
    /// What an audit is told of how it was judged. Only of one that is new, where there is an audit.
    pub judged: Option<Arc<Judged>>,
    /// This instance serves such requests, as far as nobody does yet.
    pub selected: bool,
    /// Who looked at it knew its service: what depends on that is right.
    pub service_known: bool,
    /// The trace that it is part of, when the caller says so.
    pub trace: Option<Arc<Trace>>,
}

/// A digest of the parameters, canonical: the order of their fields does not matter.
pub type Digest = [u8; 16];

/// The parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Params {
    /// Small enough to keep: JSON text.
    Inline(Arc<str>),
    /// To be read when claimed; so many bytes.
    Large(usize),
}

/// A worker's greeting.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Who.
    pub holder: Holder,
    /// The services it runs.
    pub services: Vec<Arc<str>>,
    /// Jobs at once.
    pub slots: u32,
    /// What it runs.
    pub running: Vec<AttemptId>,
    /// Ended and unrecorded.
    pub outcomes: Vec<AttemptId>,
    /// Rises with each greeting of the process.
    pub greeting: u64,
}

/// Everything that can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// Where requests are to be found: each kind at each endpoint, after each change of that.
    Endpoints(Vec<Source>),
    /// A full list of a source starts.
    ListStarted(Source),
    /// A request was listed or changed.
    Observed(Box<Observation>),
    /// The full list of a source is complete: what it lacks is gone.
    Listed(Source),
    /// The API server says that it does not serve the kind there. To be told again for as long as it
    /// says so, at least every 30 s.
    Unserved(Source),
    /// The watch of a source saw a deletion there.
    Gone {
        /// Identity.
        uid: Uid,
        /// Where. An object that lives elsewhere by now is not gone.
        source: Source,
    },
    /// A worker greeted on a new stream.
    Hello(SessionId, Hello),
    /// A stream ended.
    SessionClosed(SessionId),
    /// A worker lives. It may overtake what the stream brought before it, but only just be overtaken.
    Heartbeat {
        /// Its stream.
        session: SessionId,
        /// To be repeated in the acknowledgement.
        seq: u64,
        /// All it has claimed and not been refused, runs, or holds an outcome of.
        held: Vec<AttemptId>,
        /// Free slots.
        free: u32,
        /// It takes nothing new.
        draining: bool,
    },
    /// A bid.
    Claim(SessionId, AttemptId),
    /// How far an attempt is.
    Progress(SessionId, AttemptId, Progress),
    /// How an attempt ended.
    Outcome(SessionId, AttemptId, Outcome),
    /// The read that [`Effect::ReadParams`] asked for.
    ParamsRead(AttemptId, Option<Arc<str>>),
    /// A ticket could not be placed: returned, refused, or dropped on the way.
    Unplaced(AttemptId),
    /// The broker is there (again): tickets may have been lost.
    BrokerUp,
    /// The ticket of an attempt was dead-lettered by the broker.
    DeadLettered(AttemptId),
    /// A status write ended.
    Written(Uid, WriteResult),
    /// A deletion that [`Effect::Delete`] asked for ended.
    Deleted(Uid, DeleteResult),
    /// The read that [`Effect::ReadStatus`] asked for; none when it failed or the object is gone.
    StatusRead(Uid, Option<Box<RequestStatus>>),
    /// The watcher before this one left a mark that it wrote everything: comes before the first list.
    HandedOver,
    /// Services, limits or pauses changed.
    Reconfigured(Box<Reconfigure>),
    /// Time passed.
    Wake,
    /// The process will end: grant nothing, write what is dirty.
    Drain,
}

/// How a status write ended.
#[derive(Clone, Debug)]
pub enum WriteResult {
    /// It is in the API, with that version.
    Ok(String),
    /// The object has another version: here it is.
    Conflict(Box<Observation>),
    /// There is no object with that UID any more.
    Gone,
    /// Not now.
    Retry,
}

/// How a deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteResult {
    /// There is no object with that UID any more.
    Gone,
    /// Not now.
    Retry,
}

/// What the shell has to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Publish a ticket.
    Publish {
        /// Which attempt.
        id: AttemptId,
        /// Of which service.
        service: Arc<str>,
        /// For logs.
        address: Address,
        /// The caller's trace.
        trace: Option<Arc<Trace>>,
    },
    /// Read the parameters of the request; the object must still have that UID. Answered by
    /// [`Event::ParamsRead`].
    ReadParams {
        /// For which attempt.
        id: AttemptId,
        /// Where.
        address: Address,
    },
    /// Delete the object, if it still has that UID: its time to live is over. Answered by exactly one
    /// [`Event::Deleted`].
    Delete {
        /// Identity.
        uid: Uid,
        /// Where.
        address: Address,
    },
    /// Read the status of a request, which must still have that UID. Answered by
    /// [`Event::StatusRead`].
    ReadStatus {
        /// Identity.
        uid: Uid,
        /// Where.
        address: Address,
    },
    /// This process is no leader any more: it must end.
    StepDown,
    /// Write a status. It is answered by exactly one [`Event::Written`].
    Write(Box<Write>),
    /// Send a message to a worker.
    Send(SessionId, ToWorker),
    /// End a stream.
    Close(SessionId),
    /// Something to count or measure.
    Measure(Measure),
    /// Something to keep for an audit.
    Audit(Box<Audit>),
}

/// A status write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The object's UID, tested by the write.
    pub uid: Uid,
    /// Where.
    pub address: Address,
    /// The version that the write replaces.
    pub resource_version: String,
    /// The whole status.
    pub status: RequestStatus,
    /// The service, decided when the request was accepted; empty when it named none.
    pub service: Arc<str>,
    /// The idempotency key, likewise.
    pub idempotency_key: Option<Arc<str>>,
    /// How much it matters.
    pub urgency: Urgency,
    /// Its phase or reason is another than the API shows.
    pub news: bool,
    /// The caller's trace.
    pub trace: Option<Arc<Trace>>,
    /// When the request was accepted.
    pub queued: Moment,
}

/// A message to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// Answers Hello.
    Welcome {
        /// The instance.
        instance: Arc<str>,
        /// The worker's lease.
        lease: Duration,
        /// How often it is to say that it lives.
        heartbeat: Duration,
        /// What it must stop.
        stop: Vec<AttemptId>,
    },
    /// The lease was renewed.
    HeartbeatAck(u64),
    /// The claim is granted.
    Assignment(Box<Assignment>),
    /// The claim is not granted.
    Refusal(AttemptId, &'static str),
    /// Stop the job.
    Cancel(AttemptId, &'static str),
    /// The outcome is durable.
    Recorded(AttemptId),
    /// The outcome changed nothing.
    Stale(AttemptId),
    /// Take nothing new.
    Drain,
}

/// What a worker needs to run an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Which.
    pub id: AttemptId,
    /// Attempts that failed before.
    pub failed: u32,
    /// The service.
    pub service: Arc<str>,
    /// The parameters, JSON text.
    pub params: Arc<str>,
    /// The time of this attempt.
    pub timeout: Duration,
    /// The time that the request has left; none is no limit.
    pub time_left: Option<Duration>,
    /// Where the request lives.
    pub address: Address,
    /// Who asked.
    pub requester: Arc<str>,
    /// The caller's own key, empty when it gave none.
    pub idempotency_key: Arc<str>,
    /// The largest result, bytes.
    pub result_max_bytes: u32,
    /// The caller's trace.
    pub trace: Option<Arc<Trace>>,
    /// Since when the attempt was due.
    pub due: Moment,
}

/// Something to count or measure.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// An event that changed nothing, and why.
    Ignored(&'static str),
    /// A claim was answered: `granted` or why not.
    Claim(&'static str),
    /// An attempt did not bring its request to an end that somebody asked for.
    Attempt {
        /// The service, if there is one of that name.
        service: Option<Arc<str>>,
        /// `failed`, or `lost` with its worker.
        outcome: &'static str,
    },
    /// A request ended.
    Finished {
        /// The service, if there is one of that name: callers name what they like.
        service: Option<Arc<str>>,
        /// How.
        reason: Reason,
        /// From accepted to started, when it started.
        queued: Option<Duration>,
        /// From started to ended, when it started.
        ran: Option<Duration>,
        /// From accepted to ended.
        total: Option<Duration>,
    },
}

// === impl Config ===

impl Config {
    /// The lease that the engine counts: the worker's, plus the time of a kill at its end and a margin,
    /// so that the worker's ends first.
    #[must_use]
    pub fn own_lease(&self) -> Duration {
        self.lease + self.lease / 6
    }
}
