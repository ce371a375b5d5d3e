//! The paths of workspaces: `root:org:team-a` for the logical cluster `1abc`.
//!
//! Requests do not carry the path of their workspace, but the bindings to the export do, and each endpoint
//! shows those of its workspaces: one more watch per endpoint. A path is good to have and no more: whatever
//! is wrong with that watch, requests are served, without a path.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use isc_runtime::nag::Nag;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client, Resource,
    core::ClusterResourceScope,
    runtime::watcher::{self, Event},
};
use serde::Deserialize;
use tokio::sync::watch;

use super::{
    client::wildcard,
    follow::{Listener, follow},
};

/// The annotations of a binding.
const CLUSTER: &str = "kcp.io/cluster";
const PATH: &str = "kcp.io/path";
/// The requests of an endpoint wait so long for the first list of its bindings.
const LIST: Duration = Duration::from_secs(5);
/// A request waits so long for the binding of its workspace, once. The policy may ask for the path, and what
/// it says is final; so rather long, which holds up the requests behind it.
const ONE: Duration = Duration::from_secs(15);

/// What is known of all endpoints. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    endpoints: Arc<RwLock<HashMap<Arc<str>, Bound>>>,
    /// Told of each change.
    changed: watch::Sender<()>,
}

/// The workspaces of one endpoint.
#[derive(Debug, Default)]
struct Bound {
    state: State,
    paths: HashMap<Arc<str>, Arc<str>>,
    /// Waited for in vain.
    missed: HashSet<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Listing,
    Listed,
    /// It cannot be listed, so nobody waits for it.
    Broken,
}

/// A binding, as far as it matters.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Binding {
    metadata: ObjectMeta,
}

/// Hears of the bindings of one endpoint.
struct Bindings {
    endpoint: Arc<str>,
    paths: Paths,
    /// What the list of now has shown so far.
    listed: Bound,
}

/// Watches the bindings of an endpoint until dropped.
pub(super) async fn watch(endpoint: Arc<str>, client: Client, paths: Paths) {
    let api: Api<Binding> = Api::all(wildcard(client));
    let mut bindings = Bindings {
        endpoint,
        paths,
        listed: Bound::default(),
    };
    follow(api, watcher::Config::default(), &mut bindings).await;
}

// === impl Paths ===

impl Paths {
    /// Nothing is known.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            endpoints: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// The path of a logical cluster, when it is known.
    #[must_use]
    pub(crate) fn path(&self, cluster: &str) -> Option<Arc<str>> {
        let endpoints = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let found = endpoints
            .values()
            .find_map(|bound| bound.paths.get(cluster));
        found.cloned()
    }

    /// Waits until the bindings of an endpoint are listed, but not for long.
    pub(super) async fn listed(&self, endpoint: &str) {
        let known = self.until(LIST, endpoint, |bound| bound.state != State::Listing);
        if !known.await {
            tracing::warn!(
                endpoint,
                "the bindings are not listed yet: going on without paths"
            );
        }
    }

    /// The path of a workspace. It is waited for, but not for long, and only once: the binding was there
    /// before the first request, but comes by another watch.
    pub(super) async fn known(&self, endpoint: &str, cluster: &str) -> Option<Arc<str>> {
        let known = |bound: &Bound| {
            bound.state != State::Listed
                || bound.paths.contains_key(cluster)
                || bound.missed.contains(cluster)
        };
        if !self.until(ONE, endpoint, known).await {
            tracing::info!(endpoint, cluster, "a workspace whose path is not known");
            self.change(endpoint, |bound| {
                bound.missed.insert(cluster.into());
            });
        }
        self.path(cluster)
    }

    /// Whether that became true of an endpoint in time. It is true of one that is not watched.
    async fn until(
        &self,
        limit: Duration,
        endpoint: &str,
        wanted: impl Fn(&Bound) -> bool,
    ) -> bool {
        let is = || {
            let endpoints = self
                .endpoints
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            endpoints.get(endpoint).is_none_or(&wanted)
        };
        if is() {
            return true;
        }
        let mut changed = self.changed.subscribe();
        let wait = async {
            // Subscribed before the check: a change in between is not missed.
            while !is() {
                let _never_closed = changed.changed().await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// An endpoint is watched from now on.
    pub(super) fn start(&self, endpoint: &Arc<str>) {
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        endpoints.entry(endpoint.clone()).or_default();
    }

    /// An endpoint is not watched any more.
    pub(super) fn stop(&self, endpoint: &str) {
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        endpoints.remove(endpoint);
        drop(endpoints);
        self.changed.send_replace(());
    }

    fn change(&self, endpoint: &str, change: impl FnOnce(&mut Bound)) {
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(bound) = endpoints.get_mut(endpoint) {
            change(bound);
        }
        drop(endpoints);
        self.changed.send_replace(());
    }
}

// === impl Bound ===

impl Bound {
    /// Learns what a binding tells. One without a path is not waited for.
    fn learn(&mut self, binding: &Binding) {
        match binding.told() {
            Some((cluster, Some(path))) => {
                self.missed.remove(&cluster);
                self.paths.insert(cluster, path);
            }
            Some((cluster, None)) => drop(self.missed.insert(cluster)),
            None => {}
        }
    }
}

// === impl Binding ===

impl Binding {
    /// The cluster and its path, when the binding tells.
    fn told(&self) -> Option<(Arc<str>, Option<Arc<str>>)> {
        let annotations = self.metadata.annotations.as_ref()?;
        let path = annotations.get(PATH).map(|path| path.as_str().into());
        Some((annotations.get(CLUSTER)?.as_str().into(), path))
    }
}

impl Resource for Binding {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        "APIBinding".into()
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        "apis.kcp.io".into()
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        "v1alpha2".into()
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        "apibindings".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

// === impl Bindings ===

impl Listener<Binding> for Bindings {
    const WHAT: &'static str = "the bindings of an endpoint, for the paths of its workspaces";

    async fn hear(&mut self, event: Event<Binding>, nag: &mut Nag) -> bool {
        match event {
            Event::Init => self.listed = Bound::default(),
            Event::InitApply(binding) => self.listed.learn(&binding),
            Event::InitDone => {
                nag.well();
                let mut listed = std::mem::take(&mut self.listed);
                listed.state = State::Listed;
                self.paths.change(&self.endpoint, |bound| *bound = listed);
            }
            Event::Apply(binding) => {
                self.paths
                    .change(&self.endpoint, |bound| bound.learn(&binding));
            }
            // What is left of the workspace is on its way out too. Its path stays what it was until then:
            // the requests in it are told as deleted by another watch.
            Event::Delete(_) => {}
        }
        true
    }

    async fn trouble(&mut self, _: &watcher::Error, why: String) -> String {
        self.paths.change(&self.endpoint, |bound| {
            if bound.state == State::Listing {
                bound.state = State::Broken;
            }
        });
        format!("{}: {why}", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "https://kcp";

    fn bindings() -> Bindings {
        let paths = Paths::new();
        paths.start(&AT.into());
        Bindings {
            endpoint: AT.into(),
            paths,
            listed: Bound::default(),
        }
    }

    fn binding(cluster: &str, path: &str) -> Binding {
        let annotations = json!({CLUSTER: cluster, PATH: path});
        serde_json::from_value(json!({"metadata": {"name": "b", "annotations": annotations}}))
            .unwrap()
    }

    async fn hear(bindings: &mut Bindings, events: Vec<Event<Binding>>) {
        let mut nag = Nag::new("bindings");
        for event in events {
            assert!(bindings.hear(event, &mut nag).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bindings_tell_paths_and_a_list_replaces_what_was_known() {
        let mut bindings = bindings();
        let paths = bindings.paths.clone();
        let listed = [
            Event::Init,
            Event::InitApply(binding("1a", "root:a")),
            Event::InitDone,
        ];
        hear(&mut bindings, listed.into()).await;
        hear(&mut bindings, vec![Event::Apply(binding("1b", "root:b"))]).await;
        assert_eq!(paths.path("1a").as_deref(), Some("root:a"));
        assert_eq!(paths.path("1b").as_deref(), Some("root:b"));
        hear(&mut bindings, vec![Event::Init, Event::InitDone]).await;
        assert_eq!(paths.path("1a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_path_of_its_workspace_but_not_for_long_and_once() {
        let mut bindings = bindings();
        let paths = bindings.paths.clone();
        hear(&mut bindings, vec![Event::Init, Event::InitDone]).await;
        let start = tokio::time::Instant::now();
        let late = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            hear(&mut bindings, vec![Event::Apply(binding("1a", "root:a"))]).await;
        };
        tokio::join!(paths.known(AT, "1a"), late);
        assert_eq!(start.elapsed(), Duration::from_millis(300));
        paths.known(AT, "1z").await;
        assert_eq!(start.elapsed(), Duration::from_millis(300) + ONE);
        paths.known(AT, "1z").await;
        assert_eq!(start.elapsed(), Duration::from_millis(300) + ONE, "once");
    }

    #[tokio::test(start_paused = true)]
    async fn bindings_that_cannot_be_listed_hold_up_nothing() {
        let mut bindings = bindings();
        let paths = bindings.paths.clone();
        let start = tokio::time::Instant::now();
        paths.listed(AT).await;
        assert_eq!(start.elapsed(), LIST, "for a while");
        let error = watcher::Error::NoResourceVersion;
        bindings.trouble(&error, "403 Forbidden".into()).await;
        paths.listed(AT).await;
        paths.known(AT, "1a").await;
        assert_eq!(start.elapsed(), LIST, "nobody waits any more");
        assert_eq!(paths.path("1a"), None);
        paths.listed("https://another").await;
    }
}
