//! Delays between tries: exponential with full jitter, for ever.

use std::time::Duration;

use rand::RngExt as _;

/// An endless iterator of delays: the n-th is uniform in (0, min(cap, base * 2^n)].
///
/// Full jitter keeps a fleet that lost one broker from coming back in step
/// (source: AWS Architecture Blog, "Exponential Backoff And Jitter").
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    tries: u32,
}

// === impl Backoff ===

impl Backoff {
    /// Delays that start around `base` and never pass `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            tries: 0,
        }
    }

    /// What network connections use: 200 ms up to 10 s.
    #[must_use]
    pub fn network() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(10))
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// The next delay.
    pub fn delay(&mut self) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(1 << self.tries.min(20))
            .min(self.cap);
        self.tries = self.tries.saturating_add(1);
        // Never below a tenth, so that a run of small draws cannot become a busy loop.
        ceiling.mul_f64(rand::rng().random_range(0.1..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let first = backoff.delay();
        assert!(
            first <= Duration::from_millis(100) && first >= Duration::from_millis(10),
            "{first:?}"
        );
        for _ in 0..100 {
            assert!(backoff.delay() <= Duration::from_secs(1));
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(100));
    }
}
