//! What is known of whoever holds the Lease: whether it may be taken.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

use crate::kcp::mark;

/// The annotation of a Lease whose last leader ended clean: everything that it granted is in the statuses.
pub(super) const HANDED_OVER: &str = "internal.services/handed-over";

/// The holder as this process has seen it. Its clock is not compared with ours: it is believed for as long
/// as its own lease says, counted from when the last change was *seen* here (as client-go does it).
#[derive(Debug, Default)]
pub(super) struct Rival {
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    version: Option<String>,
    since: Duration,
    lease: Duration,
    holder: Option<String>,
}

// === impl Rival ===

impl Rival {
    /// Looks at the Lease as it was read at `now`. One that is not there was never there, or somebody
    /// deleted it while its holder still leads.
    pub(super) fn see(&mut self, lease: Option<&Lease>, usual: Duration, now: Duration) {
        let Some(lease) = lease else {
            if self.seen.as_ref().is_none_or(|seen| seen.version.is_some()) {
                self.seen = Some(Seen {
                    version: None,
                    since: now,
                    lease: usual,
                    holder: Some("whoever had the Lease before it was deleted".into()),
                });
            }
            return;
        };
        let version = lease.metadata.resource_version.clone();
        if self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.version == version)
        {
            return;
        }
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let told = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        self.seen = Some(Seen {
            version,
            since: now,
            lease: told.map_or(usual, Duration::from_secs),
            holder: holder(lease).map(str::to_owned),
        });
    }

    /// Who leads, as far as is known.
    pub(super) fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.holder.as_deref()
    }

    /// Whether the Lease is free: nobody holds it, or its holder was silent for its time.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            seen.holder.is_none() || seen.since.saturating_add(seen.lease) <= now
        })
    }
}

/// Who holds a Lease; an empty name is nobody.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref();
    holder.filter(|holder| !holder.is_empty())
}

/// Whether its last leader ended clean, and not long before `now`: a watcher without an election may have led
/// since, and does not touch the Lease.
pub(super) fn is_handed_over(lease: &Lease, now: Timestamp) -> bool {
    let annotations = lease.metadata.annotations.as_ref();
    let told = annotations.and_then(|all| all.get(HANDED_OVER));
    let at: Option<Timestamp> = told.and_then(|at| at.parse().ok());
    holder(lease).is_none() && at.is_some_and(|at| mark::is_valid(at, now))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    use super::*;

    const USUAL: Duration = Duration::from_secs(8);

    fn lease(version: &str, holder: Option<&str>, seconds: i32) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.resource_version = Some(version.into());
        lease.spec = Some(LeaseSpec {
            holder_identity: holder.map(Into::into),
            lease_duration_seconds: Some(seconds),
            ..LeaseSpec::default()
        });
        lease
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_silent_holder_is_believed_for_its_own_lease_from_when_it_was_seen() {
        let mut rival = Rival::default();
        rival.see(Some(&lease("1", Some("other"), 5)), USUAL, at(100));
        assert_eq!(rival.holder(), Some("other"));
        rival.see(Some(&lease("1", Some("other"), 5)), USUAL, at(104));
        assert!(!rival.is_over(at(104)));
        assert!(rival.is_over(at(105)));
        rival.see(Some(&lease("2", Some("other"), 5)), USUAL, at(105));
        assert!(!rival.is_over(at(109)), "it renewed");
    }

    #[test]
    fn a_lease_that_nobody_holds_is_free_at_once() {
        let mut rival = Rival::default();
        assert!(!rival.is_over(at(0)), "nobody has looked");
        rival.see(Some(&lease("1", Some(""), 5)), USUAL, at(100));
        assert!(rival.is_over(at(100)));
    }

    #[test]
    fn a_lease_that_is_not_there_may_have_been_deleted_under_its_holder() {
        let mut rival = Rival::default();
        for (since, known) in [(100, None), (200, Some(lease("1", Some("other"), 5)))] {
            if let Some(known) = known {
                rival.see(Some(&known), USUAL, at(since));
            }
            rival.see(None, USUAL, at(since));
            rival.see(None, USUAL, at(since + 7));
            assert!(!rival.is_over(at(since + 7)));
            assert!(rival.is_over(at(since + 8)));
        }
    }

    #[test]
    fn only_who_left_lately_can_have_handed_over() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let mut left = lease("1", Some(""), 5);
        assert!(!is_handed_over(&left, now));
        for (told, valid) in [
            ("2026-01-01T00:09:59.5Z", true),
            ("2025-12-31T23:00:00Z", false),
            ("?", false),
        ] {
            left.metadata.annotations = Some([(HANDED_OVER.to_owned(), told.into())].into());
            assert_eq!(is_handed_over(&left, now), valid, "{told}");
        }
        left.metadata.annotations = Some([(HANDED_OVER.to_owned(), now.to_string())].into());
        left.spec.as_mut().unwrap().holder_identity = Some("other".into());
        assert!(!is_handed_over(&left, now), "somebody led since");
    }
}
