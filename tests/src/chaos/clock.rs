//! The clock of the fault suite: the one that also counts while the machine sleeps, shared by all processes.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The time since the machine was started.
#[must_use]
pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Nanoseconds, as the ledger has them.
#[must_use]
pub fn nanos(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}
