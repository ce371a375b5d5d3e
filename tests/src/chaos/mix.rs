//! Which kinds of requests a run makes, and how many of each.

use rand::{Rng, RngExt as _};
use serde::Serialize;

/// A kind of request, or of a few that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A job of a few milliseconds.
    Short,
    /// A job of some seconds that tells its progress.
    Long,
    /// Parameters that are too large to be kept in memory.
    Bulky,
    /// A failure for good.
    Failing,
    /// A result that is too large.
    Oversized,
    /// A service that does not exist.
    Unknown,
    /// A job that outlasts its time.
    Timeout,
    /// Cancelled before anybody sees it.
    Stillborn,
    /// Cancelled while it waits or runs.
    Cancelled,
    /// Cancelled, but its job does not listen.
    Stubborn,
    /// Deleted while it waits or runs.
    Deleted,
    /// A few failures that another try mends, then success.
    Flaky,
    /// Failures that another try would mend, until the budget is used up.
    Hopeless,
    /// A job that a signal ends, until the budget is used up.
    Killed,
    /// No worker has its service, and it does not wait long.
    Unwanted,
    /// It may wait for a worker, but not for long.
    Impatient,
    /// It must end long before its job does.
    Deadline,
    /// Deleted by the watcher some time after its end.
    Brief,
    /// High priority.
    High,
    /// Low priority.
    Low,
    /// Three requests with one key that share one run.
    Attach,
    /// The same; the first one is cancelled.
    AttachCancelled,
    /// The same; the first one is deleted.
    AttachDeleted,
    /// A newer request takes the place of an earlier one with the same key.
    Replace,
    /// A newer request with the same key is not wanted.
    Reject,
    /// The same key for other work.
    KeyReused,
    /// Its service runs one at a time of those that name the same lane.
    Lane,
}

/// What the product must be able to do for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ability {
    /// Retries with a budget and pauses.
    Retries,
    /// Time limits from accepted to started and to ended.
    Clocks,
    /// Deletion after the end.
    Ttl,
    /// Priorities.
    Priorities,
    /// Idempotency keys.
    Keys,
    /// Limits of what a service runs at once.
    Limits,
}

/// Every kind: its share and what it needs.
const KINDS: [(Kind, u32, Option<Ability>); 27] = [
    (Kind::Short, 340, None),
    (Kind::Long, 40, None),
    (Kind::Bulky, 20, None),
    (Kind::Failing, 40, None),
    (Kind::Oversized, 15, None),
    (Kind::Unknown, 10, None),
    (Kind::Timeout, 15, None),
    (Kind::Stillborn, 10, None),
    (Kind::Cancelled, 40, None),
    (Kind::Stubborn, 10, None),
    (Kind::Deleted, 40, None),
    (Kind::Flaky, 60, Some(Ability::Retries)),
    (Kind::Hopeless, 25, Some(Ability::Retries)),
    (Kind::Killed, 15, Some(Ability::Retries)),
    (Kind::Unwanted, 10, Some(Ability::Clocks)),
    (Kind::Impatient, 20, Some(Ability::Clocks)),
    (Kind::Deadline, 15, Some(Ability::Clocks)),
    (Kind::Brief, 40, Some(Ability::Ttl)),
    (Kind::High, 25, Some(Ability::Priorities)),
    (Kind::Low, 25, Some(Ability::Priorities)),
    (Kind::Attach, 15, Some(Ability::Keys)),
    (Kind::AttachCancelled, 10, Some(Ability::Keys)),
    (Kind::AttachDeleted, 10, Some(Ability::Keys)),
    (Kind::Replace, 15, Some(Ability::Keys)),
    (Kind::Reject, 10, Some(Ability::Keys)),
    (Kind::KeyReused, 10, Some(Ability::Keys)),
    (Kind::Lane, 30, Some(Ability::Limits)),
];

/// The kinds of a run, each with its share.
#[derive(Clone, Debug)]
pub struct Mix {
    shares: Vec<(Kind, u32)>,
    missing: Vec<Ability>,
}

// === impl Mix ===

impl Mix {
    /// All kinds but those that need one of these abilities.
    #[must_use]
    pub fn without(missing: &[Ability]) -> Self {
        let able = |needed: &Option<Ability>| needed.is_none_or(|n| !missing.contains(&n));
        let shares = KINDS
            .iter()
            .filter(|(_, _, needed)| able(needed))
            .map(|(kind, share, _)| (*kind, *share));
        Self {
            shares: shares.collect(),
            missing: missing.to_vec(),
        }
    }

    /// Whether the product is asked for that.
    #[must_use]
    pub fn has(&self, ability: Ability) -> bool {
        !self.missing.contains(&ability)
    }

    /// Each kind once, for a plan in which none may be missing.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.shares.iter().map(|(kind, _)| *kind)
    }

    /// A kind, by the shares.
    pub fn pick(&self, rng: &mut impl Rng) -> Kind {
        let total = self.shares.iter().map(|(_, share)| share).sum();
        let mut at = rng.random_range(0..total);
        for (kind, share) in &self.shares {
            if at < *share {
                return *kind;
            }
            at -= share;
        }
        Kind::Short
    }
}

// === impl Kind ===

impl Kind {
    /// Its name in requests, tables and messages.
    #[must_use]
    pub fn name(self) -> String {
        let text = format!("{self:?}");
        let hyphen = |(at, c): (usize, char)| {
            let dash = c.is_uppercase() && at > 0;
            dash.then_some('-').into_iter().chain(c.to_lowercase())
        };
        text.char_indices().flat_map(hyphen).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn a_mix_has_no_kind_that_needs_what_is_missing() {
        let mix = Mix::without(&[Ability::Keys, Ability::Ttl]);
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..5000 {
            let kind = mix.pick(&mut rng);
            let needs = KINDS.iter().find(|(k, _, _)| *k == kind).unwrap().2;
            assert!(
                !matches!(needs, Some(Ability::Keys | Ability::Ttl)),
                "{kind:?}"
            );
        }
        assert_eq!(Mix::without(&[]).kinds().count(), KINDS.len());
    }

    #[test]
    fn names_are_dns_labels() {
        assert_eq!(Kind::AttachCancelled.name(), "attach-cancelled");
        assert_eq!(Kind::Short.name(), "short");
    }
}
