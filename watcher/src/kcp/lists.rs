//! Which first lists are still missing: the readiness of kcp.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use isc_runtime::admin::Part;

/// What is known of the slice and of each endpoint in it. Cheap to clone; clones share the state.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    part: Part,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Why the slice is not known.
    slice: Option<String>,
    endpoints: BTreeMap<Arc<str>, List>,
}

#[derive(Debug)]
enum List {
    Complete,
    /// And why, when that is known.
    Missing(String),
}

// === impl Lists ===

impl Lists {
    /// Nothing is known yet; `part` shows it.
    #[must_use]
    pub(super) fn new(part: Part) -> Self {
        let state = State {
            slice: Some("not there yet".into()),
            endpoints: BTreeMap::new(),
        };
        Self {
            part,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The slice cannot be followed now.
    pub(super) fn no_slice(&self, why: &str) {
        let mut state = self.lock();
        state.slice = Some(why.to_owned());
        state.show(&self.part);
    }

    /// These are the endpoints of the slice.
    pub(super) fn endpoints(&self, urls: &[Arc<str>]) {
        let mut state = self.lock();
        state.slice = None;
        state.endpoints.retain(|url, _| urls.contains(url));
        for url in urls {
            let missing = || List::Missing(String::new());
            state.endpoints.entry(url.clone()).or_insert_with(missing);
        }
        state.show(&self.part);
    }

    /// An endpoint answers with trouble. Once it was listed, that takes nothing out of use.
    pub(super) fn trouble(&self, url: &Arc<str>, why: &str) {
        let mut state = self.lock();
        if let Some(List::Missing(said)) = state.endpoints.get_mut(url) {
            why.clone_into(said);
            state.show(&self.part);
        }
    }

    /// An endpoint was listed.
    pub(super) fn complete(&self, url: &Arc<str>) {
        let mut state = self.lock();
        if let Some(list) = state.endpoints.get_mut(url) {
            *list = List::Complete;
            state.show(&self.part);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn show(&self, part: &Part) {
        let missing = self.endpoints.iter().find_map(|(url, list)| match list {
            List::Missing(why) => Some((url, why)),
            List::Complete => None,
        });
        match (&self.slice, missing) {
            (Some(why), _) => part.not_ready(why),
            (None, Some((url, why))) if why.is_empty() => {
                part.not_ready(&format!(
                    "waiting for the first list of requests from {url}"
                ));
            }
            (None, Some((url, why))) => {
                part.not_ready(&format!(
                    "waiting for the first list of requests from {url}: {why}"
                ));
            }
            (None, None) if self.endpoints.is_empty() => {
                part.ready_but("no workspace has bound the export yet");
            }
            (None, None) => part.ready(),
        }
    }
}

#[cfg(test)]
mod tests {
    use isc_runtime::admin::Readiness;

    use super::*;

    #[test]
    fn kcp_is_ready_when_every_endpoint_was_listed_and_says_which_is_not() {
        let readiness = Readiness::default();
        let lists = Lists::new(readiness.part("kcp"));
        let (a, b): (Arc<str>, Arc<str>) = ("https://a".into(), "https://b".into());
        assert!(!readiness.report().0);
        lists.endpoints(&[]);
        let (ready, text) = readiness.report();
        assert!(ready && text.contains("no workspace has bound"), "{text}");
        lists.endpoints(&[a.clone(), b.clone()]);
        lists.complete(&a);
        lists.trouble(&b, "403 Forbidden");
        let (ready, text) = readiness.report();
        assert!(
            !ready && text.contains("https://b: 403") && !text.contains("https://a"),
            "{text}"
        );
        lists.complete(&b);
        assert_eq!(readiness.report(), (true, "kcp: ok\n".into()));
        lists.trouble(&b, "500");
        assert!(readiness.report().0, "a listed endpoint stays in use");
        lists.no_slice("401 Unauthorized");
        assert!(!readiness.report().0);
        lists.endpoints(&[a, b]);
        assert!(readiness.report().0, "what was listed stays so");
    }
}
