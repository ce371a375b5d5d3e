//! The closed list of reasons that a request's conditions carry.

/// Why a request is where it is: the `reason` of its `Succeeded` condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Accepted, waiting for a worker.
    Queued,
    /// Waiting; no worker of that service is connected.
    NoWorkers,
    /// Waiting; the service's file is missing, or not there yet.
    ServiceMissing,
    /// Waiting; the service, the tenant or everything is paused by the operator.
    Paused,
    /// Waiting for the next attempt, after a failure that another try may mend.
    Backoff,
    /// Waiting for an earlier request with the same idempotency key, whose end it will share.
    Attached,
    /// Waiting until an earlier request with the same idempotency key has stopped.
    Replacing,
    /// A worker has it.
    Running,
    /// A worker has it and was told to stop.
    Cancelling,
    /// Ended well.
    Succeeded,
    /// The job failed.
    JobFailed,
    /// The job was ended by a signal that nobody here sent.
    JobKilled,
    /// The attempt took too long.
    TimedOut,
    /// The result is not a JSON object, or not what the service promises.
    InvalidResult,
    /// The result is larger than the service allows.
    ResultTooLarge,
    /// The job could not be started.
    StartFailed,
    /// The service does not take these parameters.
    InvalidParams,
    /// Too many attempts were lost with their workers.
    WorkerLost,
    /// The request names a service that does not exist here.
    UnknownService,
    /// The request cannot be read.
    InvalidRequest,
    /// The operators of the instance do not accept it.
    NotAccepted,
    /// Ended by the caller.
    Cancelled,
    /// It did not start in time.
    QueueTimeout,
    /// It did not end in time.
    DeadlineExceeded,
    /// An earlier request has the same idempotency key and other parameters.
    KeyReused,
    /// An earlier request has the same idempotency key, and this one asked to be rejected then.
    KeyInUse,
    /// Too many requests of its tenant are waiting.
    TooManyWaiting,
    /// Ended by a newer request with the same idempotency key.
    Replaced,
    /// An attempt was stopped by its worker, which was told to leave; told of attempts only.
    Interrupted,
}

// === impl Reason ===

impl Reason {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::Queued,
        Self::NoWorkers,
        Self::ServiceMissing,
        Self::Paused,
        Self::Backoff,
        Self::Attached,
        Self::Replacing,
        Self::Running,
        Self::Cancelling,
        Self::Succeeded,
        Self::JobFailed,
        Self::JobKilled,
        Self::TimedOut,
        Self::InvalidResult,
        Self::ResultTooLarge,
        Self::StartFailed,
        Self::InvalidParams,
        Self::WorkerLost,
        Self::UnknownService,
        Self::InvalidRequest,
        Self::NotAccepted,
        Self::Cancelled,
        Self::QueueTimeout,
        Self::DeadlineExceeded,
        Self::KeyReused,
        Self::KeyInUse,
        Self::TooManyWaiting,
        Self::Replaced,
        Self::Interrupted,
    ];

    /// The word, as in the condition and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::NoWorkers => "NoWorkers",
            Self::ServiceMissing => "ServiceMissing",
            Self::Paused => "Paused",
            Self::Backoff => "Backoff",
            Self::Attached => "Attached",
            Self::Replacing => "Replacing",
            Self::Running => "Running",
            Self::Cancelling => "Cancelling",
            Self::Succeeded => "Succeeded",
            Self::JobFailed => "JobFailed",
            Self::JobKilled => "JobKilled",
            Self::TimedOut => "TimedOut",
            Self::InvalidResult => "InvalidResult",
            Self::ResultTooLarge => "ResultTooLarge",
            Self::StartFailed => "StartFailed",
            Self::InvalidParams => "InvalidParams",
            Self::WorkerLost => "WorkerLost",
            Self::UnknownService => "UnknownService",
            Self::InvalidRequest => "InvalidRequest",
            Self::NotAccepted => "NotAccepted",
            Self::Cancelled => "Cancelled",
            Self::QueueTimeout => "QueueTimeout",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::KeyReused => "KeyReused",
            Self::KeyInUse => "KeyInUse",
            Self::TooManyWaiting => "TooManyWaiting",
            Self::Replaced => "Replaced",
            Self::Interrupted => "Interrupted",
        }
    }

    /// The reason of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// What a worker reported as the reason of a failure; a word that is not on the worker's list
    /// becomes [`Reason::JobFailed`], so that the condition's list stays closed.
    #[must_use]
    pub fn of_failure(word: &str) -> Self {
        match Self::parse(word) {
            Some(
                reason @ (Self::JobFailed
                | Self::JobKilled
                | Self::TimedOut
                | Self::InvalidResult
                | Self::ResultTooLarge
                | Self::StartFailed
                | Self::InvalidParams
                | Self::UnknownService),
            ) => reason,
            _ => Self::JobFailed,
        }
    }
}
