//! Why a job failed, and whether another try may help.

use std::fmt;

use isc_proto::v1::FailureClass;

/// Why a job failed.
///
/// There is no conversion from any error: whether another try may help is for the handler to say, and so is
/// what everybody who can read the request may read. `map_err(Failure::retryable)` takes an error's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether another try may help.
    pub class: FailureClass,
    /// A word of the closed list.
    pub reason: &'static str,
    /// For people; it goes into the request's status, so nothing secret. At most 4 KiB, more is cut off.
    pub message: String,
}

// === impl Failure ===

impl Failure {
    /// Another try may mend it: the request runs again as long as its `retries` allow.
    pub fn retryable(message: impl fmt::Display) -> Self {
        Self::of(FailureClass::Retryable, "JobFailed", message)
    }

    /// Another try does not mend it: the request fails at once.
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self::of(FailureClass::Permanent, "JobFailed", message)
    }

    /// The same, and the parameters are to blame: the reason is `InvalidParams`.
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::of(FailureClass::Invalid, "InvalidParams", message)
    }

    /// For a handler that was told to stop and has stopped. One that was not told so says that another try
    /// may help.
    #[must_use]
    pub fn stopped() -> Self {
        Self::retryable("the job stopped before it was done")
    }

    fn of(class: FailureClass, reason: &'static str, message: impl fmt::Display) -> Self {
        Self {
            class,
            reason,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
