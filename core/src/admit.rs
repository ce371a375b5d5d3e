//! Whether a new request is accepted, and with which limits.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use crate::{
    api::{PARAMS_MAX_BYTES, RequestSpec},
    flow::Flow,
    reason::Reason,
};

/// What the watcher knows of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// The time of one attempt when the request names none.
    pub timeout: Duration,
    /// The most that a request may ask for.
    pub max_timeout: Duration,
    /// The time from accepted to started.
    pub queue: ClockLimits,
    /// The time from accepted to ended.
    pub deadline: ClockLimits,
    /// Further attempts after a failure that another try may mend, when the request names none.
    pub retries: u32,
    /// The most that a request may ask for.
    pub max_retries: u32,
    /// The longest first pause after a failed attempt; it doubles with each further one.
    pub backoff: Duration,
    /// The longest pause of all.
    pub max_backoff: Duration,
    /// A request is deleted that long after its end, when it says nothing else; `None` is never.
    pub ttl: Option<Duration>,
    /// The largest result, bytes.
    pub result_max_bytes: u32,
    /// What a result must be; `None` is any.
    pub result_check: Option<ResultCheck>,
    /// What may be under way.
    pub flow: Flow,
}

/// Says whether a result is what the service promises; no result is an empty object.
///
/// The message of a refusal names places and expectations and goes into the request's status. Two checks
/// are equal when their texts are.
#[derive(Clone)]
pub struct ResultCheck {
    text: Arc<str>,
    check: Arc<Check>,
}

type Check = dyn Fn(&Map<String, Value>) -> Result<(), String> + Send + Sync;

/// The limits of one clock; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockLimits {
    /// When the request names none.
    pub default: Option<Duration>,
    /// The most that a request may ask for, and what it gets that asks for none without a default.
    pub max: Option<Duration>,
}

/// All services, by name.
pub type Catalogue = HashMap<Arc<str>, ServiceLimits>;

/// The limits of an accepted request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest time of one attempt.
    pub timeout: Duration,
    /// The longest time from accepted to started; `None` is no limit.
    pub queue_timeout: Option<Duration>,
    /// The longest time from accepted to ended; `None` is no limit.
    pub deadline: Option<Duration>,
    /// Further attempts after a failure that another try may mend.
    pub retries: u32,
    /// It is deleted that long after its end; `None` is never.
    pub ttl: Option<Duration>,
}

/// Why a request is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The word.
    pub reason: Reason,
    /// What to do about it, without a word on other tenants.
    pub message: String,
}

/// Decides on a new request. Decided once: the answer holds over restarts.
///
/// # Errors
/// [`Rejection`] when the request names no known service or has too large parameters.
pub fn admit(
    spec: &RequestSpec,
    params_bytes: usize,
    catalogue: &Catalogue,
) -> Result<Limits, Rejection> {
    if params_bytes > PARAMS_MAX_BYTES {
        return Err(Rejection {
            reason: Reason::InvalidRequest,
            message: format!("spec.params has {params_bytes} bytes, more than {PARAMS_MAX_BYTES}"),
        });
    }
    let Some(service) = catalogue.get(spec.service.as_str()) else {
        return Err(unknown_service(&spec.service));
    };
    Ok(limits(spec, service))
}

/// There is no service of that name.
#[must_use]
pub fn unknown_service(name: &str) -> Rejection {
    Rejection {
        reason: Reason::UnknownService,
        message: format!("there is no service `{name}` here: check spec.service"),
    }
}

/// The limits of a request under a service's maxima.
#[must_use]
pub fn limits(spec: &RequestSpec, service: &ServiceLimits) -> Limits {
    let seconds = |asked: Option<u32>| asked.map(|s| Duration::from_secs(s.into()));
    Limits {
        timeout: seconds(spec.timeout_seconds)
            .unwrap_or(service.timeout)
            .min(service.max_timeout),
        queue_timeout: service.queue.limit(seconds(spec.queue_timeout_seconds)),
        deadline: service.deadline.limit(seconds(spec.deadline_seconds)),
        retries: spec
            .retries
            .unwrap_or(service.retries)
            .min(service.max_retries),
        ttl: seconds(spec.ttl_seconds_after_finished).or(service.ttl),
    }
}

// === impl ServiceLimits ===

impl Default for ServiceLimits {
    /// What a service file that says nothing means.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            max_timeout: Duration::from_secs(3600),
            queue: ClockLimits::default(),
            deadline: ClockLimits::default(),
            retries: 0,
            max_retries: 10,
            backoff: Duration::from_secs(5),
            max_backoff: Duration::from_secs(300),
            ttl: None,
            result_max_bytes: 64 * 1024,
            result_check: None,
            flow: Flow::default(),
        }
    }
}

// === impl ResultCheck ===

impl ResultCheck {
    /// A check that `text` describes completely.
    #[must_use]
    pub fn new(
        text: &str,
        check: impl Fn(&Map<String, Value>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            text: text.into(),
            check: Arc::new(check),
        }
    }

    /// Checks what a job gave back.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self, result: Option<&Map<String, Value>>) -> Result<(), String> {
        result.map_or_else(|| (self.check)(&Map::new()), |result| (self.check)(result))
    }
}

impl fmt::Debug for ResultCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResultCheck").field(&self.text).finish()
    }
}

impl PartialEq for ResultCheck {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ResultCheck {}

// === impl ClockLimits ===

impl ClockLimits {
    /// What a request gets that asks for so much.
    #[must_use]
    pub fn limit(self, asked: Option<Duration>) -> Option<Duration> {
        let wanted = asked.or(self.default);
        match (wanted, self.max) {
            (Some(wanted), Some(max)) => Some(wanted.min(max)),
            (wanted, max) => wanted.or(max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{OnConflict, Priority};

    fn catalogue() -> Catalogue {
        let sign = ServiceLimits {
            timeout: Duration::from_secs(60),
            max_timeout: Duration::from_secs(120),
            ..ServiceLimits::default()
        };
        Catalogue::from([("sign".into(), sign)])
    }

    fn spec(change: impl FnOnce(&mut RequestSpec)) -> RequestSpec {
        let mut spec = RequestSpec {
            service: "sign".into(),
            ..RequestSpec::default()
        };
        change(&mut spec);
        spec
    }

    #[test]
    fn the_timeout_is_the_services_unless_asked_and_never_over_its_maximum() {
        for (asked, wanted) in [(None, 60), (Some(90), 90), (Some(9000), 120)] {
            let limits = admit(&spec(|s| s.timeout_seconds = asked), 0, &catalogue()).unwrap();
            assert_eq!(limits.timeout.as_secs(), wanted, "{asked:?}");
        }
    }

    #[test]
    fn an_unknown_service_is_rejected_without_telling_which_exist() {
        let error = admit(&spec(|s| s.service = "publish".into()), 0, &catalogue()).unwrap_err();
        assert_eq!(error.reason, Reason::UnknownService);
        assert!(
            error.message.contains("publish") && !error.message.contains("sign"),
            "{}",
            error.message
        );
    }

    #[test]
    fn every_field_is_honoured() {
        let all = spec(|s| {
            s.priority = Some(Priority::High);
            s.on_conflict = Some(OnConflict::Reject);
            s.idempotency_key = Some("k".into());
            s.retries = Some(0);
        });
        assert!(admit(&all, 0, &catalogue()).is_ok());
    }

    #[test]
    fn parameters_over_the_limit_are_rejected_with_their_size() {
        assert!(admit(&spec(|_| ()), PARAMS_MAX_BYTES, &catalogue()).is_ok());
        let error = admit(&spec(|_| ()), PARAMS_MAX_BYTES + 1, &catalogue()).unwrap_err();
        assert_eq!(error.reason, Reason::InvalidRequest);
        assert!(error.message.contains("262145"), "{}", error.message);
    }
}
