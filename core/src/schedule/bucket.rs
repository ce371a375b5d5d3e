//! A token bucket that keeps one moment instead of a number of tokens, so nothing drifts.

use std::time::Duration;

use crate::flow::Rate;

/// How often something may start: in any span of time at most `burst`, and one more per `every`.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    rate: Option<Rate>,
    /// When the bucket is full again.
    full: Duration,
}

// === impl Bucket ===

impl Bucket {
    /// Another rate; what was taken under the old one is not waited for longer than the new one says.
    pub(super) fn set(&mut self, rate: Option<Rate>, now: Duration) {
        let longest = rate.map_or(Duration::ZERO, |rate| rate.every * rate.burst.max(1));
        (self.rate, self.full) = (rate, self.full.min(now + longest));
    }

    /// From when on so many may start; none when never so many at once.
    pub(super) fn at(&self, count: u32) -> Option<Duration> {
        let Some(rate) = self.rate else {
            return Some(Duration::ZERO);
        };
        let spare = rate.burst.max(1).checked_sub(count)?;
        Some(self.full.saturating_sub(rate.every * spare))
    }

    /// Whether so many may start now.
    pub(super) fn has(&self, count: u32, now: Duration) -> bool {
        self.at(count).is_some_and(|at| at <= now)
    }

    /// One starts.
    pub(super) fn take(&mut self, now: Duration) {
        if let Some(rate) = self.rate {
            self.full = self.full.max(now) + rate.every;
        }
    }
}
