//! Which first lists are still missing: the readiness of kcp, and the state of each source in metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use isc_core::ids::Source;
use isc_runtime::admin::Part;

use crate::metrics::{Metrics, SourceState};

/// What is known of the slices and of each source at their endpoints. Cheap to clone; clones share the
/// state.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    part: Part,
    metrics: Arc<Metrics>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Why it is not even known where to look.
    start: Option<String>,
    /// The slices that are followed, and why one is not known.
    slices: BTreeMap<String, Option<String>>,
    sources: BTreeMap<Source, List>,
}

#[derive(Debug)]
enum List {
    Complete,
    /// And why, when that is known.
    Missing(String),
    /// The API server says that there is no such kind, and how; whether it was listed before.
    Unserved(String, bool),
}

// === impl Lists ===

impl Lists {
    /// Nothing is known yet; `part` shows it.
    #[must_use]
    pub(super) fn new(part: Part, metrics: Arc<Metrics>) -> Self {
        let state = State {
            start: Some("not there yet".into()),
            slices: BTreeMap::new(),
            sources: BTreeMap::new(),
        };
        Self {
            part,
            metrics,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Nothing can be looked for yet.
    pub(super) fn waiting(&self, why: &str) {
        self.change(|state| state.start = Some(why.to_owned()));
    }

    /// These slices are followed; there are none where endpoints are known without.
    pub(super) fn slices(&self, names: &[String]) {
        let unknown = |name: &String| (name.clone(), Some("not there yet".to_owned()));
        self.change(|state| {
            state.start = None;
            state.slices = names.iter().map(unknown).collect();
        });
    }

    /// A slice cannot be followed now.
    pub(super) fn no_slice(&self, name: &str, why: &str) {
        self.change(|state| drop(state.slices.insert(name.to_owned(), Some(why.to_owned()))));
    }

    /// A slice was read.
    pub(super) fn slice(&self, name: &str) {
        self.change(|state| drop(state.slices.insert(name.to_owned(), None)));
    }

    /// These are all sources.
    pub(super) fn sources(&self, sources: &[Source]) {
        self.change(|state| {
            state.sources.retain(|source, _| {
                let stays = sources.contains(source);
                if !stays {
                    self.metrics.sources.gone(source);
                }
                stays
            });
            for source in sources {
                state.sources.entry(source.clone()).or_insert_with(|| {
                    self.metrics.sources.state(source, SourceState::Listing);
                    List::Missing(String::new())
                });
            }
        });
    }

    /// A source answers with trouble, and with what HTTP code. Once it was listed, that takes nothing out
    /// of use.
    pub(super) fn trouble(&self, source: &Source, code: u16, why: &str) {
        let shown = match code {
            403 => SourceState::Forbidden,
            404 => SourceState::Unserved,
            _ => SourceState::Failing,
        };
        self.change(|state| {
            if let Some(list) = state.sources.get_mut(source) {
                self.metrics.sources.state(source, shown);
                match (&list, code) {
                    (_, 404) => *list = List::Unserved(why.to_owned(), list.was_complete()),
                    (List::Complete, _) => {}
                    _ => *list = List::Missing(why.to_owned()),
                }
            }
        });
    }

    /// A source was listed.
    pub(super) fn complete(&self, source: &Source) {
        self.change(|state| {
            if let Some(list) = state.sources.get_mut(source) {
                *list = List::Complete;
                self.metrics.sources.listed(source);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.show(&self.part);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl List ===

impl List {
    fn was_complete(&self) -> bool {
        matches!(self, Self::Complete | Self::Unserved(_, true))
    }
}

// === impl State ===

impl State {
    fn show(&self, part: &Part) {
        let slice = self.slices.iter().find_map(|(name, why)| {
            let why = why.as_ref()?;
            Some(format!("the endpoint slice {name}: {why}"))
        });
        let unknown = self.start.clone().or(slice);
        match (unknown, self.missing()) {
            (Some(why), _) | (None, Some(why)) => part.not_ready(&why),
            (None, None) if self.sources.is_empty() => {
                part.ready_but("no workspace has bound the export yet");
            }
            (None, None) => match self.unserved() {
                Some(note) => part.ready_but(&note),
                None => part.ready(),
            },
        }
    }

    /// The first list that is missed. A kind that is not served is missed only where nothing is served.
    fn missing(&self) -> Option<String> {
        let any = self
            .sources
            .values()
            .any(|list| matches!(list, List::Complete));
        let of = |source: &Source| format!("waiting for the first list of {source}");
        self.sources.iter().find_map(|(source, list)| match list {
            List::Missing(why) if why.is_empty() => Some(of(source)),
            List::Missing(why) => Some(format!("{}: {why}", of(source))),
            List::Unserved(why, false) if !any => Some(format!("{}: {why}", of(source))),
            List::Unserved(..) | List::Complete => None,
        })
    }

    fn unserved(&self) -> Option<String> {
        let unserved = |(_, list): &(&Source, &List)| matches!(list, List::Unserved(..));
        let (source, _) = self.sources.iter().find(unserved)?;
        Some(format!("{source} is not served: waiting for it"))
    }
}

#[cfg(test)]
mod tests {
    use isc_runtime::admin::Readiness;
    use prometheus_client::registry::Registry;

    use super::*;

    fn lists() -> (Readiness, Lists) {
        let readiness = Readiness::default();
        let metrics = Arc::new(Metrics::new(&mut Registry::default()));
        let lists = Lists::new(readiness.part("kcp"), metrics);
        (readiness, lists)
    }

    fn source(endpoint: &str) -> Source {
        Source {
            endpoint: endpoint.into(),
            kind: "requests.internal.services".into(),
        }
    }

    #[test]
    fn kcp_is_ready_when_every_source_was_listed_and_says_which_is_not() {
        let (readiness, lists) = lists();
        let (a, b) = (source("https://a"), source("https://b"));
        assert!(!readiness.report().0);
        lists.slices(&["internal.services".into()]);
        assert!(!readiness.report().0);
        lists.slice("internal.services");
        lists.sources(&[]);
        let (ready, text) = readiness.report();
        assert!(ready && text.contains("no workspace has bound"), "{text}");
        lists.sources(&[a.clone(), b.clone()]);
        lists.complete(&a);
        lists.trouble(&b, 403, "403 Forbidden");
        let (ready, text) = readiness.report();
        assert!(
            !ready && text.contains("https://b: 403") && !text.contains("https://a"),
            "{text}"
        );
        lists.complete(&b);
        assert_eq!(readiness.report(), (true, "kcp: ok\n".into()));
        lists.trouble(&b, 500, "500");
        assert!(readiness.report().0, "a listed source stays in use");
        lists.no_slice("internal.services", "401 Unauthorized");
        assert!(!readiness.report().0);
        lists.slice("internal.services");
        lists.sources(&[a, b]);
        assert!(readiness.report().0, "what was listed stays so");
    }

    #[test]
    fn a_kind_that_is_not_served_is_told_but_missed_only_where_nothing_is_served() {
        let (readiness, lists) = lists();
        let (a, b) = (source("https://a"), source("https://b"));
        lists.slices(&[]);
        lists.sources(&[a.clone(), b.clone()]);
        lists.trouble(&a, 404, "404 page not found");
        lists.trouble(&b, 404, "404 page not found");
        assert!(!readiness.report().0);
        lists.complete(&b);
        let (ready, text) = readiness.report();
        assert!(ready && text.contains("https://a is not served"), "{text}");
        lists.complete(&a);
        assert_eq!(readiness.report(), (true, "kcp: ok\n".into()));
        lists.trouble(&a, 404, "404 page not found");
        lists.trouble(&b, 404, "404 page not found");
        assert!(readiness.report().0, "what was listed stays in use");
    }
}
