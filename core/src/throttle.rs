//! Coalescing: of values that come faster than they may go out, only the newest goes.
//!
//! The first value goes at once, later ones at most once per interval, and the last one always goes.

use std::time::Duration;

/// A slot for the newest value and the moment from which it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle<T> {
    interval: Duration,
    not_before: Duration,
    newest: Option<T>,
}

impl<T> Throttle<T> {
    /// At most one value per `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            not_before: Duration::ZERO,
            newest: None,
        }
    }

    /// Puts a value in, over one that still waits.
    pub fn put(&mut self, value: T) {
        self.newest = Some(value);
    }

    /// Takes the value when it may go.
    pub fn take(&mut self, now: Duration) -> Option<T> {
        if now < self.not_before {
            return None;
        }
        let value = self.newest.take()?;
        self.not_before = now + self.interval;
        Some(value)
    }

    /// When the waiting value may go; `None` when nothing waits.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.newest.as_ref().map(|_| self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_goes_at_once_and_later_ones_are_coalesced() {
        let mut throttle = Throttle::new(SECOND);
        throttle.put(1);
        assert_eq!(throttle.take(SECOND), Some(1));
        throttle.put(2);
        throttle.put(3);
        assert_eq!(throttle.take(SECOND * 3 / 2), None);
        assert_eq!(throttle.due(), Some(SECOND * 2));
        assert_eq!(throttle.take(SECOND * 2), Some(3), "the newest wins");
        assert_eq!((throttle.due(), throttle.take(SECOND * 9)), (None, None));
    }
}
