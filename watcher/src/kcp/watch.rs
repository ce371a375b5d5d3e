//! One endpoint: a wildcard list and watch of its requests, turned into events.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use isc_core::engine::Event;
use isc_runtime::{backoff::Backoff, nag::Nag};
use kube::{
    Api, Client,
    core::DynamicObject,
    runtime::watcher::{self, watcher},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    client::wildcard,
    explain::explain,
    object::{observe, resource},
};
use crate::engine::Input;

/// Objects per page of a list.
const PAGE: u32 = 500;
/// A virtual workspace answers 403, 404 and 500 while it comes up, so trouble is tried again soon, but
/// a lasting one not often.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Watches until cancelled or until nobody listens.
pub(super) async fn watch(
    endpoint: Arc<str>,
    client: Client,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let watching = run(&endpoint, client, &inputs);
    tokio::select! {
        () = stop.cancelled() => tracing::info!(%endpoint, "not watched any more"),
        () = watching => {}
    }
}

async fn run(endpoint: &Arc<str>, client: Client, inputs: &mpsc::Sender<Input>) {
    let api: Api<DynamicObject> = Api::all_with(wildcard(client), &resource());
    let mut nag = Nag::new("the requests of an endpoint");
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    loop {
        // Classic list and watch: consistent, paged; a streaming list of an export without bindings
        // never ends (kcp-dev/kcp#4384).
        let mut stream = watcher(api.clone(), watcher::Config::default().page_size(PAGE)).boxed();
        while let Some(item) = stream.next().await {
            match item {
                Ok(event) => {
                    if matches!(event, watcher::Event::InitDone) {
                        tracing::info!(%endpoint, "listed, watching");
                        nag.well();
                        backoff.reset();
                    }
                    if !forward(event, endpoint, inputs).await {
                        return;
                    }
                }
                Err(error) => {
                    nag.trouble(&format!("{endpoint}: {}", explain(&error)));
                    tokio::time::sleep(backoff.delay()).await;
                    // It would start again at the same version for ever; a fresh list is always right.
                    if matches!(error, watcher::Error::WatchStartFailed(_)) {
                        break;
                    }
                }
            }
        }
    }
}

/// Hands an event on; false when nobody listens any more.
async fn forward(
    event: watcher::Event<DynamicObject>,
    endpoint: &Arc<str>,
    inputs: &mpsc::Sender<Input>,
) -> bool {
    let event = match event {
        watcher::Event::Init => Some(Event::ListStarted(endpoint.clone())),
        watcher::Event::InitDone => Some(Event::Listed(endpoint.clone())),
        watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
            let name = object.metadata.name.clone();
            let observation = observe(object, endpoint);
            if observation.is_none() {
                tracing::warn!(
                    ?name,
                    "an object without uid, workspace or namespace is left alone"
                );
            }
            observation.map(|observation| Event::Observed(Box::new(observation)))
        }
        watcher::Event::Delete(object) => {
            let uid = object
                .metadata
                .uid
                .map(|uid| isc_core::ids::Uid(uid.into()));
            let endpoint = endpoint.clone();
            uid.map(|uid| Event::Gone { uid, endpoint })
        }
    };
    match event {
        Some(event) => inputs.send(Input::Event(event)).await.is_ok(),
        None => true,
    }
}
