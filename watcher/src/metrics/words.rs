//! The closed lists of labels. A counter starts with 0 for each of its words, so that a query sees the first
//! thing that it counts, too.

use std::{fmt::Debug, hash::Hash};

#[cfg(test)]
use isc_core::reason::Reason;
use prometheus_client::metrics::{counter::Counter, family::Family};

use super::labels::{ReasonLabel, ResultLabel};

/// Stands for a word that is on no list: the list is to be mended then.
pub(super) const OTHER: &str = "other";

pub(super) const WRITES: &[&str] = &["ok", "conflict", "refused", "forbidden", "timeout", "error"];
pub(super) const TICKETS: &[&str] = &[
    "confirmed",
    "returned",
    "nacked",
    "timeout",
    "broker",
    "lost",
    "spoilt",
];
pub(super) const CLAIMS: &[&str] = &[
    "granted",
    "backlog",
    "behind",
    "done",
    "ended",
    "full",
    "gone",
    "held",
    "key_held",
    "not_durable",
    "not_ours_yet",
    "not_your_service",
    "other_attempt",
    "out_of_turn",
    "params_unreadable",
    "paused",
    "pausing",
    "service_missing",
    "shutting_down",
    "still_stopping",
    "suspect",
    "taking_over",
    "too_soon",
    "unknown",
    OTHER,
];
pub(super) const IGNORED: &[&str] = &[
    "another_instance",
    "counted",
    "done",
    "foreign_progress",
    "known",
    "not_attached",
    "not_behind",
    "not_held",
    "not_offered",
    "not_recovering",
    "not_reserved",
    "not_waiting",
    "not_yet",
    "not_your_service",
    "old_greeting",
    "outcome_pending",
    "same_progress",
    "stale_outcome",
    "still_running",
    "stopped_or_done",
    "too_many_outcomes",
    "under_way",
    "written",
    OTHER,
];
pub(super) const DROPPED: &[&str] = &[
    "ticket_queue_full",
    "session_queue_full",
    "news_queue_full",
    "assignment_too_large",
];
pub(super) const DEAD: &[&str] = &[
    "rejected",
    "expired",
    "maxlen",
    "delivery_limit",
    "undecodable",
    OTHER,
];
pub(super) const STREAMS: &[&str] = &[
    "no_hello",
    "order",
    "protocol",
    "malformed",
    "undecodable",
    "too_large",
    "too_many_streams",
    "too_fast",
    "tls",
    "not_allowed",
    "certificate_ended",
];
pub(super) const EVENTS: &[&str] = &["ok", "not_accepted", "error"];
pub(super) const AUDIT: &[&str] = &["written", "dropped", "failed"];
pub(super) const RELOADS: &[&str] = &["ok", "failed"];
pub(super) const ATTEMPTS: &[&str] = &["failed", "lost"];

/// How a request can end.
#[cfg(test)]
pub(super) const ENDS: &[Reason] = &[
    Reason::Succeeded,
    Reason::JobFailed,
    Reason::JobKilled,
    Reason::TimedOut,
    Reason::InvalidResult,
    Reason::ResultTooLarge,
    Reason::StartFailed,
    Reason::InvalidParams,
    Reason::WorkerLost,
    Reason::UnknownService,
    Reason::InvalidRequest,
    Reason::NotAccepted,
    Reason::Cancelled,
    Reason::QueueTimeout,
    Reason::DeadlineExceeded,
    Reason::KeyReused,
    Reason::KeyInUse,
    Reason::TooManyWaiting,
    Reason::Replaced,
];

/// `method` of a call to an API server. Nothing else is used.
pub(super) const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The word, if it is on the list.
pub(super) fn listed(list: &[&'static str], word: &'static str) -> &'static str {
    if list.contains(&word) { word } else { OTHER }
}

/// A family that counts results.
pub(super) fn by_result(list: &[&'static str]) -> Family<ResultLabel, Counter> {
    starting(list.iter().map(|result| ResultLabel { result }))
}

/// A family that counts reasons.
pub(super) fn by_reason(list: &[&'static str]) -> Family<ReasonLabel, Counter> {
    starting(list.iter().map(|reason| ReasonLabel { reason }))
}

/// A family that has these labels from the start.
pub(super) fn starting<L>(labels: impl Iterator<Item = L>) -> Family<L, Counter>
where
    L: Clone + Debug + Eq + Hash,
{
    let family = Family::default();
    labels.for_each(|label| drop(family.get_or_create(&label)));
    family
}
