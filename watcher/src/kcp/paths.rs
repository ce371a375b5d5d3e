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
const LIST: Duration = Duration::from_secs(8);
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
    listed: bool,
    paths: HashMap<Arc<str>, Arc<str>>,
    /// Waited for in vain.
    missed: HashSet<Arc<str>>,
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
pub(super) async fn watch(
    endpoint: Arc<str>,
    (client, watching): (Client, watcher::Config),
    paths: Paths,
) {
    let api: Api<Binding> = Api::all(wildcard(client));
    let mut bindings = Bindings {
        endpoint,
        paths,
        listed: Bound::default(),
    };
    follow(api, watching, &mut bindings).await;
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

    /// Waits until the bindings of an endpoint are listed, but not for long. Whoever asks has listed
    /// something else there, so they can be listed, too, unless something is wrong with them.
    pub(super) async fn listed(&self, endpoint: &str) {
        let known = self.until(LIST, endpoint, |bound| bound.listed);
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
            !bound.listed || bound.paths.contains_key(cluster) || bound.missed.contains(cluster)
        };
        if !self.until(ONE, endpoint, known).await {
            tracing::info!(endpoint, cluster, "a workspace whose path is not known");
            self.change(endpoint, |bound| {
                bound.missed.insert(cluster.into());
            });
        }
        self.path(cluster)
    }

    /// Waits until the path of one of these is known. Cancellation safe.
    pub(super) async fn one_of(&self, clusters: &HashSet<String>) -> String {
        let mut changed = self.changed.subscribe();
        loop {
            let mut found = clusters.iter();
            if let Some(found) = found.find(|cluster| self.path(cluster).is_some()) {
                return found.clone();
            }
            let _never_closed = changed.changed().await;
        }
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
                listed.listed = true;
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
        format!("{}: {why}", self.endpoint)
    }
}

#[cfg(test)]
mod tests;
