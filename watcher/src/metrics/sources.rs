//! What is known of each source: one kind at one endpoint.

use std::collections::BTreeMap;

use isc_core::ids::Source;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::kcp::endpoint_label;

/// How a source is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceState {
    /// It was not listed yet.
    Listing,
    /// It was listed and is watched.
    Watching,
    /// The user may not.
    Forbidden,
    /// The API server says that there is no such kind.
    Unserved,
    /// It answers with something else, or not at all.
    Failing,
}

/// The gauges of sources.
#[derive(Debug, Default)]
pub(crate) struct SourceMetrics {
    state: Family<StateLabel, Gauge>,
    listed: Family<SourceLabel, Gauge>,
    requests: Family<SourceLabel, Gauge>,
}

/// `endpoint` is its host, and the export or namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    endpoint: String,
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    endpoint: String,
    kind: String,
    state: &'static str,
}

// === impl SourceState ===

impl SourceState {
    const ALL: [(Self, &str); 5] = [
        (Self::Listing, "listing"),
        (Self::Watching, "watching"),
        (Self::Forbidden, "forbidden"),
        (Self::Unserved, "unserved"),
        (Self::Failing, "failing"),
    ];
}

// === impl SourceLabel ===

impl SourceLabel {
    fn of(source: &Source) -> Self {
        Self {
            endpoint: endpoint_label(&source.endpoint),
            kind: source.kind.to_string(),
        }
    }

    fn with(self, state: &'static str) -> StateLabel {
        StateLabel {
            endpoint: self.endpoint,
            kind: self.kind,
            state,
        }
    }
}

// === impl SourceMetrics ===

impl SourceMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "How each kind is doing at each endpoint: 1 for the state that it is in";
        r.register("endpoint_state", help, self.state.clone());
        let help = "When the last full list was complete, Unix time in seconds";
        r.register(
            "endpoint_listed_timestamp_seconds",
            help,
            self.listed.clone(),
        );
        let help = "Requests that are known, by where they are";
        r.register("endpoint_requests", help, self.requests.clone());
    }

    /// It is in that state from now on.
    pub(crate) fn state(&self, source: &Source, state: SourceState) {
        let label = SourceLabel::of(source);
        for (each, name) in SourceState::ALL {
            let gauge = self.state.get_or_create(&label.clone().with(name));
            gauge.set(i64::from(each == state));
        }
    }

    /// A full list is complete.
    pub(crate) fn listed(&self, source: &Source) {
        self.state(source, SourceState::Watching);
        let now = jiff::Timestamp::now().as_second();
        self.listed.get_or_create(&SourceLabel::of(source)).set(now);
    }

    /// It is not watched any more.
    pub(crate) fn gone(&self, source: &Source) {
        let label = SourceLabel::of(source);
        self.listed.remove(&label);
        for (_, name) in SourceState::ALL {
            self.state.remove(&label.clone().with(name));
        }
    }

    /// So many requests are known.
    pub(super) fn requests(
        &self,
        known: &BTreeMap<Source, usize>,
        before: &BTreeMap<Source, usize>,
    ) {
        for source in before.keys().filter(|source| !known.contains_key(source)) {
            self.requests.remove(&SourceLabel::of(source));
        }
        for (source, n) in known {
            let n = i64::try_from(*n).unwrap_or(i64::MAX);
            self.requests.get_or_create(&SourceLabel::of(source)).set(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_in_one_state_and_leaves_nothing_behind() {
        let (metrics, mut registry) = (SourceMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        let source = Source {
            endpoint: "https://kcp:6443/services/apiexport/1abc/internal.services".into(),
            kind: "requests.internal.services".into(),
        };
        let shown = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text.retain(|c| c != '\\');
            let of_it = |line: &&str| !line.starts_with('#');
            text.lines()
                .filter(of_it)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        metrics.state(&source, SourceState::Listing);
        metrics.listed(&source);
        let known = BTreeMap::from([(source.clone(), 3)]);
        metrics.requests(&known, &BTreeMap::new());
        let labels = r#"endpoint="kcp:6443/internal.services",kind="requests.internal.services""#;
        let lines = shown();
        let on: Vec<&String> = lines.iter().filter(|line| line.ends_with(" 1")).collect();
        assert_eq!(
            on,
            [&format!("endpoint_state{{{labels},state=\"watching\"}} 1")]
        );
        assert!(
            lines.contains(&format!("endpoint_requests{{{labels}}} 3")),
            "{lines:?}"
        );
        metrics.gone(&source);
        metrics.requests(&BTreeMap::new(), &known);
        assert_eq!(shown(), Vec::<String>::new());
    }
}
