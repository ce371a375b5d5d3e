//! Follows where requests are, and keeps one watch for each kind at each endpoint.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use isc_core::{engine::Event, ids::Source};
use isc_runtime::{admin::Part, backoff::Backoff, nag::Nag};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    client::{Clients, Home},
    explain::explain,
    follow::BACKOFF,
    lists::Lists,
    mark::{Mark, Taken},
    mode,
    paths::{self, Paths},
    place::{self, Place, Reach},
    slice::{Found, Slice},
    watch::{self, Requests},
};
use crate::{
    config::{KcpConfig, Mode},
    election::Won,
    engine::Input,
    metrics::Metrics,
};

/// Why nothing can be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// The credentials cannot be used.
    #[error("no client can be built from the kubeconfig: {0}")]
    Client(#[from] kube::Error),
    /// The configuration does not fit what KUBECONFIG points at.
    #[error(
        "`kcp.namespaces` is set, but KUBECONFIG points at kcp: list no namespaces, or set `kcp.mode: kubernetes` \
         to serve the one workspace that it points at"
    )]
    Namespaces,
}

/// What tells how the watcher before this one ended.
pub(crate) enum Before {
    /// The election did. A mark of a watcher without one is older, and is cleared.
    Elected(Won, Mark),
    /// Its mark does, if it left one.
    Mark(Mark),
}

/// Follows all endpoints.
pub(crate) struct Follower {
    clients: Clients,
    config: KcpConfig,
    inputs: mpsc::Sender<Input>,
    lists: Lists,
    /// What each slice said; none before it was read.
    slices: BTreeMap<String, Option<Vec<Arc<str>>>>,
    /// Dropped, they end.
    watches: HashMap<Source, DropGuard>,
    bindings: HashMap<Arc<str>, DropGuard>,
    tasks: JoinSet<()>,
}

// === impl Follower ===

impl Follower {
    /// Follows what the configuration says, with these clients. `part` shows whether it is known where
    /// requests are and whether they are listed.
    #[must_use]
    pub(crate) fn new(
        clients: Clients,
        config: KcpConfig,
        inputs: mpsc::Sender<Input>,
        (part, metrics): (Part, Arc<Metrics>),
    ) -> Self {
        Self {
            clients,
            config,
            inputs,
            lists: Lists::new(part, metrics),
            slices: BTreeMap::new(),
            watches: HashMap::new(),
            bindings: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Hears how the watcher before ended, then follows until cancelled.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub(crate) async fn run(
        mut self,
        before: Before,
        stop: CancellationToken,
    ) -> Result<(), FollowError> {
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = self.work(before) => ended,
        };
        self.tasks.shutdown().await;
        ended
    }

    async fn work(&mut self, before: Before) -> Result<(), FollowError> {
        let mode = self.mode().await?;
        if mode != Mode::Kubernetes && !self.config.namespaces.is_empty() {
            return Err(FollowError::Namespaces);
        }
        self.clients.reaches(mode);
        match before {
            Before::Elected(won, mark) => {
                if let Some(home) = self.clients.home()? {
                    self.tasks.spawn(mark.forget(home));
                }
                if won.handed_over {
                    self.handed_over().await;
                }
            }
            // Nothing can be granted before the first list; so the mark is gone before the first grant.
            Before::Mark(mark) => {
                if let Some(home) = self.clients.home()? {
                    self.take(mark, home).await;
                }
            }
        }
        match mode {
            Mode::Kcp => self.follow_slices().await?,
            Mode::Static => {
                let url = mode::endpoint(&self.clients.url(), mode).into();
                self.follow_these(&[url]).await;
            }
            Mode::Kubernetes => {
                let url = mode::endpoint(&self.clients.url(), mode);
                let all = place::plain(url, &self.config.namespaces);
                self.follow_these(&all).await;
            }
        }
        Ok(())
    }

    /// What the configuration says, or the URL, or the API server once it answers.
    async fn mode(&self) -> Result<Mode, FollowError> {
        let told = self
            .config
            .mode
            .or_else(|| mode::told_by(&self.clients.url()));
        if let Some(mode) = told {
            return Ok(mode);
        }
        let client = self.clients.provider()?;
        let mut nag = Nag::new("kcp");
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            match mode::ask(&client).await {
                Ok(mode) => {
                    nag.well();
                    tracing::info!(?mode, "told by the API server");
                    return Ok(mode);
                }
                Err(error) => {
                    let text = explain(&error);
                    self.lists.waiting(&text);
                    nag.trouble(&text);
                }
            }
            tokio::time::sleep(backoff.delay()).await;
        }
    }

    async fn take(&mut self, mark: Mark, home: Home) {
        let lists = self.lists.clone();
        match mark.take(&home, |why| lists.waiting(why)).await {
            Taken::HandedOver => self.handed_over().await,
            Taken::Nothing => {}
            Taken::Unknown => drop(self.tasks.spawn(mark.forget(home))),
        }
    }

    async fn handed_over(&self) {
        // Fails when nobody listens.
        let _ended = self.inputs.send(Input::Event(Event::HandedOver)).await;
    }

    async fn follow_slices(&mut self) -> Result<(), FollowError> {
        let kinds = self.clients.kinds().clone();
        let of = |slice: &Option<String>| self.config.slice(slice.as_deref()).to_owned();
        let names: Vec<String> = kinds.iter().map(|kind| of(&kind.served().slice)).collect();
        self.slices = names.into_iter().map(|name| (name, None)).collect();
        let names: Vec<String> = self.slices.keys().cloned().collect();
        self.lists.slices(&names);
        let client = self.clients.provider()?;
        let (found, mut news) = mpsc::channel(1);
        for name in names {
            let slice = Slice::new(name, self.lists.clone(), found.clone());
            self.tasks
                .spawn(slice.run(client.clone(), self.clients.watching()));
        }
        while let Some(Found { slice, urls }) = news.recv().await {
            self.slices.insert(slice, Some(urls));
            self.update().await;
        }
        Ok(())
    }

    /// Endpoints that never change.
    async fn follow_these(&mut self, endpoints: &[Arc<str>]) {
        self.lists.slices(&[]);
        let kinds = self.clients.kinds().clone();
        let each = endpoints.iter().flat_map(|endpoint| {
            let kinds = kinds.iter();
            kinds.map(|kind| source(endpoint, kind.id()))
        });
        self.watch(each.collect(), true).await;
        std::future::pending::<()>().await;
    }

    /// Starts and stops watches so that they are those of the slices.
    async fn update(&mut self) {
        let kinds = self.clients.kinds().clone();
        let mut sources = vec![];
        for kind in kinds.iter() {
            let slice = self.config.slice(kind.served().slice.as_deref());
            let urls = self.slices.get(slice).and_then(Option::as_ref);
            sources.extend(urls.into_iter().flatten().map(|url| source(url, kind.id())));
        }
        let all_read = self.slices.values().all(Option::is_some);
        self.watch(sources, all_read).await;
    }

    /// Watches these. The engine is told what there is only when all slices were read: it would take a
    /// request at an endpoint of another one for gone.
    async fn watch(&mut self, sources: Vec<Source>, are_all: bool) {
        self.lists.sources(&sources);
        self.watches.retain(|source, _| sources.contains(source));
        let paths = self.clients.paths().clone();
        self.bindings.retain(|endpoint, _| {
            let stays = sources.iter().any(|source| source.endpoint == *endpoint);
            if !stays {
                paths.stop(endpoint);
            }
            stays
        });
        if are_all {
            // Whoever is told of an endpoint must know it before its list starts. Fails when nobody listens.
            let event = Event::Endpoints(sources.clone());
            let _ended = self.inputs.send(Input::Event(event)).await;
        }
        while self.tasks.try_join_next().is_some() {}
        for source in sources {
            if self.watches.contains_key(&source) {
                continue;
            }
            match self.clients.endpoint(&source.endpoint) {
                Ok(client) => self.start(source, client, &paths),
                Err(error) => {
                    tracing::error!(%source, "an endpoint cannot be used: {}", explain(&error));
                }
            }
        }
    }

    fn start(&mut self, source: Source, client: kube::Client, paths: &Paths) {
        tracing::info!(endpoint = %source.endpoint, kind = %source.kind, "new endpoint");
        let (reach, watching) = (self.clients.reach(), self.clients.watching());
        if reach == Reach::Workspaces && !self.bindings.contains_key(&source.endpoint) {
            let endpoint = source.endpoint.clone();
            paths.start(&endpoint);
            let (stop, guard) = stop();
            let watch = paths::watch(
                endpoint.clone(),
                (client.clone(), watching.clone()),
                paths.clone(),
            );
            self.tasks.spawn(async move {
                stop.run_until_cancelled(watch).await;
            });
            self.bindings.insert(endpoint, guard);
        }
        let (stop, guard) = stop();
        let place = Place {
            source: source.clone(),
            reach,
        };
        let (inputs, lists) = (self.inputs.clone(), self.lists.clone());
        let requests = Requests::new(place, &self.clients, inputs, lists);
        self.tasks
            .spawn(watch::watch(requests, (client, watching), stop));
        self.watches.insert(source, guard);
    }
}

fn stop() -> (CancellationToken, DropGuard) {
    let token = CancellationToken::new();
    (token.clone(), token.drop_guard())
}

fn source(endpoint: &Arc<str>, kind: &Arc<str>) -> Source {
    Source {
        endpoint: endpoint.clone(),
        kind: kind.clone(),
    }
}

#[cfg(test)]
mod tests;
