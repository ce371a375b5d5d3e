//! The labels. Their values are closed lists.

use isc_core::writes::Urgency;
use prometheus_client::encoding::EncodeLabelSet;

use super::words;

/// `kind` and `result` of a status write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabel {
    kind: &'static str,
    result: &'static str,
}

/// `result` of a claim, a ticket, a reload or an Event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResultLabel {
    /// The word.
    pub(crate) result: &'static str,
}

/// `reason` of something ignored, dropped or dead-lettered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    pub(super) reason: &'static str,
}

/// `rule` that decided, and the `result`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DecisionLabel {
    pub(super) rule: String,
    pub(super) result: &'static str,
}

/// `rule` of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RuleLabel {
    pub(super) rule: String,
}

/// `phase` of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PhaseLabel {
    pub(super) phase: &'static str,
}

/// `state` of slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SlotLabel {
    pub(super) state: &'static str,
}

// === impl WriteLabel ===

impl WriteLabel {
    /// The label of a write.
    #[must_use]
    pub(crate) fn new(urgency: Urgency, result: &'static str) -> Self {
        let kind = match urgency {
            Urgency::Held | Urgency::Now => "end",
            Urgency::Live => "live",
        };
        Self { kind, result }
    }

    /// Every label that there is.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of_kind = |kind| {
            words::WRITES
                .iter()
                .map(move |result| Self { kind, result })
        };
        ["end", "live"].into_iter().flat_map(of_kind)
    }
}
