//! What a service file says about time, further attempts and what may run at once.

use serde::Deserialize;

use super::{
    DEFAULT_MAX_TIMEOUT_SECONDS, RESULT_MAX_BYTES_LIMIT, ServiceFile,
    key::{KEY_MAX_BYTES, KeyExpression},
};

/// The longest time that a request's status can show, seconds: a year.
const SECONDS_LIMIT: u64 = 31_536_000;
/// The most further attempts that a request's status can show.
const RETRIES_LIMIT: u32 = 100;
/// The slowest and the fastest rate, per second.
const RATE_LIMITS: (f64, f64) = (1.0 / 86_400.0, 10_000.0);

/// The `retry` section: further attempts after a failure that another try may mend.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Retry {
    /// When the request names none. Default 0.
    pub retries: u32,
    /// The most that a request's `retries` can ask for. Default 10.
    pub max_retries: u32,
    /// The longest pause before the second attempt, seconds; it doubles with each further one. Default 5.
    pub backoff_seconds: u64,
    /// The longest pause of all, seconds. Default 300.
    pub max_backoff_seconds: u64,
}

/// The `limits` section: what may be under way at once. What is absent is not limited.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Concurrency {
    /// Requests of this service, offered to workers or with one.
    pub concurrency: Option<u32>,
    /// The same of one tenant.
    pub per_tenant: Option<u32>,
    /// How often one may start.
    pub rate: Option<Rate>,
    /// Requests that touch the same thing.
    pub key: Option<Key>,
}

/// The `limits.rate` section.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// So many may start a second, in the long run.
    pub per_second: f64,
    /// So many may start at once after a quiet time. Default 1.
    #[serde(default = "one")]
    pub burst: u32,
}

/// The `limits.key` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// A CEL expression over `params`: requests with the same value touch the same thing. Null is no limit.
    pub cel: String,
    /// So many with the same value may be under way. Default 1.
    #[serde(default = "one")]
    pub max: u32,
}

fn one() -> u32 {
    1
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: 0,
            max_retries: 10,
            backoff_seconds: 5,
            max_backoff_seconds: 300,
        }
    }
}

// === impl ServiceFile ===

impl ServiceFile {
    /// The most that one attempt may take, seconds.
    #[must_use]
    pub fn max_timeout(&self) -> u64 {
        self.max_timeout_seconds
            .unwrap_or(DEFAULT_MAX_TIMEOUT_SECONDS.max(self.timeout_seconds))
    }

    /// The first rule that the limits break, for people.
    pub(super) fn check_limits(&self) -> Result<(), String> {
        let clocks = [
            (
                ("timeoutSeconds", Some(self.timeout_seconds)),
                ("maxTimeoutSeconds", Some(self.max_timeout())),
            ),
            (
                ("queueTimeoutSeconds", self.queue_timeout_seconds),
                ("maxQueueTimeoutSeconds", self.max_queue_timeout_seconds),
            ),
            (
                ("deadlineSeconds", self.deadline_seconds),
                ("maxDeadlineSeconds", self.max_deadline_seconds),
            ),
        ];
        for (default, max) in clocks {
            seconds(default)?;
            seconds(max)?;
            ordered(default, max)?;
        }
        if self
            .ttl_seconds_after_finished
            .is_some_and(|ttl| ttl > SECONDS_LIMIT)
        {
            return Err(format!(
                "`ttlSecondsAfterFinished` must be at most {SECONDS_LIMIT}"
            ));
        }
        if self.result_max_bytes > RESULT_MAX_BYTES_LIMIT {
            return Err(format!(
                "`resultMaxBytes` must be at most {RESULT_MAX_BYTES_LIMIT}"
            ));
        }
        self.retry.check()?;
        self.limits.check()
    }
}

// === impl Retry ===

impl Retry {
    fn check(&self) -> Result<(), String> {
        if self.max_retries > RETRIES_LIMIT {
            return Err(format!(
                "`retry.maxRetries` must be at most {RETRIES_LIMIT}"
            ));
        }
        ordered(
            ("retry.retries", Some(self.retries.into())),
            ("retry.maxRetries", Some(self.max_retries.into())),
        )?;
        let pauses = (
            ("retry.backoffSeconds", Some(self.backoff_seconds)),
            ("retry.maxBackoffSeconds", Some(self.max_backoff_seconds)),
        );
        seconds(pauses.0)?;
        seconds(pauses.1)?;
        ordered(pauses.0, pauses.1)
    }
}

// === impl Concurrency ===

impl Concurrency {
    fn check(&self) -> Result<(), String> {
        let counts = [
            ("limits.concurrency", self.concurrency),
            ("limits.perTenant", self.per_tenant),
            ("limits.rate.burst", self.rate.map(|rate| rate.burst)),
            ("limits.key.max", self.key.as_ref().map(|key| key.max)),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == Some(0)) {
            return Err(format!(
                "`{name}` must be at least 1; `paused: true` lets nothing start"
            ));
        }
        let (slowest, fastest) = RATE_LIMITS;
        // Written so that a NaN is refused.
        if let Some(rate) = self.rate
            && !(rate.per_second >= slowest && rate.per_second <= fastest)
        {
            return Err(format!(
                "`limits.rate.perSecond` must be a number from {slowest:.6} (one a day) to {fastest}"
            ));
        }
        self.compiled_key().map(drop)
    }

    /// The compiled `limits.key.cel`.
    pub(super) fn compiled_key(&self) -> Result<Option<KeyExpression>, String> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let compiled = KeyExpression::compile(&key.cel).map_err(|why| {
            format!(
                "`limits.key.cel` is not a CEL expression over `params` of at most {KEY_MAX_BYTES} bytes, \
                 as in `params.repo`: {why}"
            )
        });
        compiled.map(Some)
    }
}

/// A key and its value.
type Named<T> = (&'static str, Option<T>);

fn seconds((name, value): Named<u64>) -> Result<(), String> {
    match value {
        Some(seconds) if !(1..=SECONDS_LIMIT).contains(&seconds) => {
            Err(format!("`{name}` must be from 1 to {SECONDS_LIMIT}"))
        }
        _ => Ok(()),
    }
}

fn ordered(default: Named<u64>, max: Named<u64>) -> Result<(), String> {
    match (default, max) {
        ((default, Some(low)), (max, Some(high))) if low > high => Err(format!(
            "`{max}` ({high}) must not be below `{default}` ({low})"
        )),
        _ => Ok(()),
    }
}
