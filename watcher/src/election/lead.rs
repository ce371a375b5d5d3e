//! Whether this process leads, and for how long at least.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use isc_runtime::clock;

/// Whether this process leads. Clones share the state; every place that acts on it asks for itself, since
/// a process may stand still at any time.
///
/// A lead is won once and then extended. One that was over is never extended: another watcher may have led
/// meanwhile, and what is in memory here would be older than what that one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lead {
    /// The end, on the clock of leases, in nanoseconds: 0 before the first.
    until: Arc<AtomicU64>,
}

/// Without an election the lead never ends.
const FOR_EVER: u64 = u64::MAX;

// === impl Lead ===

impl Lead {
    /// Nobody else can lead.
    pub(crate) fn win_for_ever(&self) {
        self.until.store(FOR_EVER, Ordering::Release);
    }

    /// Won until that moment of the clock of leases.
    pub(super) fn win(&self, until: Duration) {
        self.until.store(nanos(until), Ordering::Release);
    }

    /// Goes on until that moment; false when it was over before this was known.
    pub(super) fn extend(&self, until: Duration) -> bool {
        let now = nanos(clock::now());
        let extended = self
            .until
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |known| {
                (known > now).then(|| known.max(nanos(until)))
            });
        extended.is_ok()
    }

    /// What is left of it; none is no end.
    pub(crate) fn left(&self) -> Option<Duration> {
        let until = self.until.load(Ordering::Acquire);
        let left = until.saturating_sub(nanos(clock::now()));
        (until != FOR_EVER).then(|| Duration::from_nanos(left))
    }

    /// Nothing may be granted, acknowledged or written.
    pub(crate) fn is_over(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

fn nanos(time: Duration) -> u64 {
    // 584 years.
    u64::try_from(time.as_nanos()).unwrap_or(FOR_EVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_extended_while_it_lasts_and_never_after() {
        let lead = Lead::default();
        assert!(lead.is_over(), "nobody has won it");
        assert!(!lead.extend(clock::now() + Duration::from_secs(60)));
        lead.win(clock::now() + Duration::from_secs(60));
        assert!(!lead.is_over());
        let later = clock::now() + Duration::from_secs(90);
        assert!(lead.extend(later));
        assert!(
            lead.extend(clock::now() + Duration::from_secs(40)),
            "answers may come out of order"
        );
        assert!(lead.left() > Some(Duration::from_secs(80)));
        lead.win(clock::now());
        assert!(!lead.extend(later), "it was over");
        assert!(lead.is_over());
        lead.win_for_ever();
        assert!(lead.extend(later));
        assert_eq!(lead.left(), None);
    }
}
