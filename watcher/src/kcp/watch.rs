//! One endpoint: a wildcard list and watch of its requests, turned into events.

use std::sync::Arc;

use isc_core::engine::Event;
use isc_runtime::{nag::Nag, services::Catalogue};
use kube::{
    Api, Client,
    runtime::watcher::{self, Event as Watched},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    client::{Clients, Services, wildcard},
    follow::{Listener, follow},
    lists::Lists,
    object::Seen,
};
use crate::{engine::Input, kinds::Kind};

/// Objects per page of a list. A page is in memory as a whole, several times while it is read, and an
/// object may have 256 KiB of parameters: 5,000 of those peaked at 525 MB with 500 a page, at 188 MB with
/// 100, at 115 MB with 50. 10,000 small ones took 2.3 s, 2.7 s and 4 s on two busy cores.
const PAGE: u32 = 64;

/// What is done with the requests of one endpoint.
pub(super) struct Requests {
    endpoint: Arc<str>,
    kind: Arc<Kind>,
    inputs: mpsc::Sender<Input>,
    lists: Lists,
    services: Services,
    /// The services that the observations were made with.
    known: Arc<Catalogue>,
}

/// Watches until cancelled or until nobody listens.
pub(super) async fn watch(requests: Requests, client: Client, stop: CancellationToken) {
    let mut requests = requests;
    let endpoint = requests.endpoint.clone();
    let resource = requests.kind.served().resource();
    let api: Api<Seen> = Api::all_with(wildcard(client), &resource);
    let config = watcher::Config::default().page_size(PAGE);
    tokio::select! {
        () = stop.cancelled() => tracing::info!(%endpoint, "not watched any more"),
        () = follow(api, config, &mut requests) => {}
    }
}

// === impl Requests ===

impl Requests {
    /// Those of `endpoint`, for the engine behind `inputs`; `lists` hears when they are listed.
    #[must_use]
    pub(super) fn new(
        endpoint: Arc<str>,
        kind: Arc<Kind>,
        clients: &Clients,
        inputs: mpsc::Sender<Input>,
        lists: Lists,
    ) -> Self {
        let mut services = clients.services();
        let known = services.borrow_and_update().clone();
        Self {
            endpoint,
            kind,
            inputs,
            lists,
            services,
            known,
        }
    }

    fn event(&self, seen: Watched<Seen>) -> Option<Event> {
        match seen {
            Watched::Init => Some(Event::ListStarted(self.endpoint.clone())),
            Watched::InitDone => Some(Event::Listed(self.endpoint.clone())),
            Watched::InitApply(seen) | Watched::Apply(seen) => {
                let name = seen.name().to_owned();
                let observation = seen.observe(&self.endpoint, &self.kind, &self.known);
                if observation.is_none() {
                    tracing::warn!(
                        name,
                        "an object without uid, workspace or namespace is left alone"
                    );
                }
                observation.map(|observation| Event::Observed(Box::new(observation)))
            }
            Watched::Delete(seen) => {
                let endpoint = self.endpoint.clone();
                seen.uid().map(|uid| Event::Gone { uid, endpoint })
            }
        }
    }
}

impl Listener<Seen> for Requests {
    const WHAT: &'static str = "the requests of an endpoint";

    async fn hear(&mut self, seen: Watched<Seen>, nag: &mut Nag) -> bool {
        let complete = matches!(seen, Watched::InitDone);
        if let Some(event) = self.event(seen)
            && self.inputs.send(Input::Event(event)).await.is_err()
        {
            return false;
        }
        if complete {
            tracing::info!(endpoint = %self.endpoint, "listed, watching");
            nag.well();
            // After the engine was told, so that whoever waits for it is seen later.
            self.lists.complete(&self.endpoint);
        }
        true
    }

    fn trouble(&mut self, why: String) -> String {
        self.lists.trouble(&self.endpoint, &why);
        format!("{}: {why}", self.endpoint)
    }

    /// Concurrency keys are computed when a request is seen: other expressions need another look.
    async fn stale(&mut self) {
        loop {
            if self.services.changed().await.is_err() {
                return std::future::pending().await;
            }
            let new = self.services.borrow_and_update().clone();
            let same = same_keys(&new, &self.known);
            self.known = new;
            if !same {
                tracing::info!(endpoint = %self.endpoint, "listing again: concurrency keys have changed");
                return;
            }
        }
    }
}

fn same_keys(a: &Catalogue, b: &Catalogue) -> bool {
    let keys = |services: &Catalogue| -> Vec<(String, String)> {
        let key = |service: &isc_runtime::services::Service| {
            let key = service.key.as_ref()?;
            Some((service.name.clone(), key.text().to_owned()))
        };
        services.iter().filter_map(key).collect()
    };
    keys(a) == keys(b)
}
