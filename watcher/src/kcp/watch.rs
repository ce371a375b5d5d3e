//! One source: a list and watch of its requests, turned into events.

use std::{collections::HashSet, sync::Arc, time::Duration};

use isc_core::{engine::Event, ids::Source};
use isc_runtime::{
    nag::Nag,
    services::{Catalogue, Service},
};
use kube::{
    Api, Client,
    runtime::watcher::{self, Event as Watched},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    client::{Clients, Services, wildcard},
    follow::{Listener, code, follow},
    lists::Lists,
    object::{Light, Seen},
    paths::Paths,
    place::{self, Place, Reach},
};
use crate::{admission::Admission, engine::Input, kinds::Kind, select::Select};

/// Objects per page of a list. A page is in memory as a whole, several times while it is read, and an
/// object may have 256 KiB of parameters: 5,000 of those peaked at 525 MB with 500 a page, at 188 MB with
/// 100, at 115 MB with 50. 10,000 small ones took 2.3 s, 2.7 s and 4 s on two busy cores.
const PAGE: u32 = 64;

/// Paths of workspaces that become known within that time lead to one list.
const TOGETHER: Duration = Duration::from_secs(1);

/// What is done with the requests of one source.
pub(super) struct Requests {
    place: Place,
    paths: Paths,
    /// Workspaces that had a request here.
    seen: HashSet<String>,
    /// Those of them whose path is not known, where requests are selected by it.
    unplaced: HashSet<String>,
    /// None when nobody has configured it.
    kind: Option<Arc<Kind>>,
    /// The list of bindings was waited for.
    waited: bool,
    inputs: mpsc::Sender<Input>,
    lists: Lists,
    services: Services,
    admission: Admission,
    select: Arc<Select>,
    /// The services that the observations were made with.
    known: Arc<Catalogue>,
}

/// Watches until cancelled or until nobody listens.
pub(super) async fn watch(
    requests: Requests,
    (client, watching): (Client, watcher::Config),
    stop: CancellationToken,
) {
    let mut requests = requests;
    let Source { endpoint, kind } = requests.place.source.clone();
    let configured = requests.kind.as_ref();
    let Some(resource) = configured.map(|kind| kind.served().resource()) else {
        return tracing::error!(%kind, "a kind that nobody has configured");
    };
    let (_, namespace) = place::parts(&endpoint);
    let api: Api<Seen> = match (requests.place.reach, namespace) {
        (Reach::Workspaces, _) => Api::all_with(wildcard(client), &resource),
        (Reach::Plain, Some(one)) => Api::namespaced_with(client, one, &resource),
        (Reach::Plain, None) => Api::all_with(client, &resource),
    };
    let watching = follow(api, watching.page_size(PAGE), &mut requests);
    if stop.run_until_cancelled(watching).await.is_none() {
        tracing::info!(%endpoint, %kind, "not watched any more");
    }
}

// === impl Requests ===

impl Requests {
    /// Those of that place, for the engine behind `inputs`; `lists` hears when they are listed.
    #[must_use]
    pub(super) fn new(
        place: Place,
        clients: &Clients,
        inputs: mpsc::Sender<Input>,
        lists: Lists,
    ) -> Self {
        let mut services = clients.services();
        let known = services.borrow_and_update().clone();
        let kind = clients.kind(&place.source.kind).ok();
        Self {
            kind: kind.cloned(),
            paths: clients.paths().clone(),
            seen: HashSet::new(),
            unplaced: HashSet::new(),
            waited: false,
            place,
            inputs,
            lists,
            services,
            admission: clients.admission().clone(),
            select: clients.select().clone(),
            known,
        }
    }

    /// Whoever judges a request may want to know the path of its workspace.
    async fn introduce(&mut self, cluster: &str) {
        let endpoint = &self.place.source.endpoint;
        if !std::mem::replace(&mut self.waited, true) {
            self.paths.listed(endpoint).await;
        }
        let path = self.paths.known(endpoint, cluster).await;
        if path.is_none() && self.select.asks_for_paths() {
            self.unplaced.insert(cluster.to_owned());
        }
        if !self.seen.contains(cluster) {
            self.seen.insert(cluster.to_owned());
            let path = path.as_deref();
            tracing::debug!(cluster, path, "the first request of a workspace");
        }
    }

    /// Why everything must be seen again in the light of the services of now.
    fn other_services(&mut self) -> Option<&'static str> {
        let new = self.services.borrow_and_update().clone();
        let why = why_look_again(&new, &self.known);
        self.known = new;
        why
    }

    fn event(&self, seen: Watched<Seen>) -> Option<Event> {
        match seen {
            Watched::Init => Some(Event::ListStarted(self.place.source.clone())),
            Watched::InitDone => Some(Event::Listed(self.place.source.clone())),
            Watched::InitApply(seen) | Watched::Apply(seen) => {
                let name = seen.name().to_owned();
                let light = Light {
                    kind: self.kind.as_ref()?,
                    services: &self.known,
                    admission: &self.admission,
                    paths: &self.paths,
                    select: &self.select,
                };
                let observation = seen.observe(&self.place, &light);
                if observation.is_none() {
                    tracing::warn!(
                        name,
                        "an object without uid, workspace or namespace is left alone"
                    );
                }
                observation.map(|observation| Event::Observed(Box::new(observation)))
            }
            Watched::Delete(seen) => {
                let source = self.place.source.clone();
                seen.uid().map(|uid| Event::Gone { uid, source })
            }
        }
    }
}

impl Listener<Seen> for Requests {
    const WHAT: &'static str = "requests";

    async fn hear(&mut self, seen: Watched<Seen>, nag: &mut Nag) -> bool {
        let complete = matches!(seen, Watched::InitDone);
        if let Watched::InitApply(seen) | Watched::Apply(seen) = &seen
            && let Some(cluster) = seen.cluster()
        {
            self.introduce(cluster).await;
        }
        if let Some(event) = self.event(seen)
            && self.inputs.send(Input::Event(event)).await.is_err()
        {
            return false;
        }
        if complete {
            let source = &self.place.source;
            tracing::info!(endpoint = %source.endpoint, kind = %source.kind, "listed, watching");
            nag.well();
            // After the engine was told, so that whoever waits for it is seen later.
            self.lists.complete(source);
        }
        true
    }

    async fn trouble(&mut self, error: &watcher::Error, why: String) -> String {
        let (source, code) = (&self.place.source, code(error));
        self.lists.trouble(source, code, &why);
        if code == 404 {
            // Of a whole list that means the kind, in whatever form it is said. Fails when nobody listens.
            let event = Event::Unserved(source.clone());
            let _ended = self.inputs.send(Input::Event(event)).await;
        }
        format!("{source}: {why}")
    }

    /// Concurrency keys are computed when a request is seen: other expressions need another look. So do
    /// requests that wait for a service, once it is there, and those that were not selected for want of a
    /// path.
    async fn stale(&mut self) {
        loop {
            let why = tokio::select! {
                changed = self.services.changed() => match changed {
                    Ok(()) => self.other_services(),
                    Err(_) => return std::future::pending().await,
                },
                _cluster = self.paths.one_of(&self.unplaced) => {
                    // Others come with it, as a rule.
                    tokio::time::sleep(TOGETHER).await;
                    let paths = &self.paths;
                    self.unplaced.retain(|cluster| paths.path(cluster).is_none());
                    Some("paths of workspaces are known")
                }
            };
            if let Some(why) = why {
                tracing::info!(source = %self.place.source, "listing again: {why}");
                return;
            }
        }
    }
}

fn why_look_again(new: &Catalogue, known: &Catalogue) -> Option<&'static str> {
    if !same_keys(new, known) {
        return Some("concurrency keys have changed");
    }
    let is_new = |service: &Service| known.get(&service.name).is_none();
    new.iter().any(is_new).then_some("there is a new service")
}

fn same_keys(a: &Catalogue, b: &Catalogue) -> bool {
    let keys = |services: &Catalogue| -> Vec<(String, String)> {
        let key = |service: &Service| {
            let key = service.key.as_ref()?;
            Some((service.name.clone(), key.text().to_owned()))
        };
        services.iter().filter_map(key).collect()
    };
    keys(a) == keys(b)
}
