//! The clock of leases.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Monotonic, and unlike `Instant` it goes on while the machine sleeps: a lease that ran out in the
/// meantime is over.
#[must_use]
pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .expect("Linux has had CLOCK_BOOTTIME since 2.6.39")
}
