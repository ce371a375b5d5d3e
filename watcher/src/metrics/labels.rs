//! The labels. Their values are closed lists.

use http::Method;
use isc_core::writes::Urgency;
use prometheus_client::encoding::EncodeLabelSet;

use super::words;

/// `kind` and `result` of a status write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabel {
    kind: &'static str,
    result: &'static str,
}

/// `method` and `code` of a call to an API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CallLabel {
    method: &'static str,
    code: u16,
}

/// `direction` of a message on a worker's stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DirectionLabel {
    pub(super) direction: &'static str,
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

// === impl CallLabel ===

impl CallLabel {
    pub(super) fn new(method: &Method, code: u16) -> Self {
        let known = words::METHODS.iter();
        let method = known.copied().find(|known| *known == method.as_str());
        Self {
            method: method.unwrap_or(words::OTHER),
            code,
        }
    }
}

// === impl DirectionLabel ===

impl DirectionLabel {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ["received", "sent"]
            .into_iter()
            .map(|direction| Self { direction })
    }
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
