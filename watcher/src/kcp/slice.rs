//! Follows the endpoint slice of the export, and watches each endpoint in it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use isc_core::engine::Event;
use isc_runtime::{admin::Part, backoff::Backoff, nag::Nag};
use kube::{
    Api,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::watcher::{self, watcher},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{client::Clients, explain::explain, watch};
use crate::engine::Input;

/// Follows one `APIExportEndpointSlice`.
pub(crate) struct Follower {
    clients: Clients,
    name: String,
    inputs: mpsc::Sender<Input>,
    part: Part,
    watches: HashMap<Arc<str>, CancellationToken>,
    tasks: JoinSet<()>,
}

// === impl Follower ===

impl Follower {
    /// Follows the slice of that name in the workspace of the clients. `part` shows whether it is known.
    #[must_use]
    pub(crate) fn new(
        clients: Clients,
        name: String,
        inputs: mpsc::Sender<Input>,
        part: Part,
    ) -> Self {
        Self {
            clients,
            name,
            inputs,
            part,
            watches: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Runs until cancelled.
    ///
    /// # Errors
    /// When the credentials cannot be used at all.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), kube::Error> {
        let client = self.clients.provider()?;
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow(client) => {}
        }
        for token in self.watches.values() {
            token.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
        Ok(())
    }

    async fn follow(&mut self, client: kube::Client) {
        let gvk = GroupVersionKind::gvk("apis.kcp.io", "v1alpha1", "APIExportEndpointSlice");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "apiexportendpointslices");
        let api: Api<DynamicObject> = Api::all_with(client, &resource);
        let mut nag = Nag::new("kcp");
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        loop {
            // RBAC on one name allows list and watch only with this selector.
            let only = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
            let mut stream = watcher(api.clone(), only).boxed();
            let mut listed: Option<DynamicObject> = None;
            while let Some(item) = stream.next().await {
                match item {
                    Ok(event) => {
                        // A list that merely began is no success yet.
                        if !matches!(event, watcher::Event::Init) {
                            backoff.reset();
                        }
                        self.handle(event, &mut listed, &mut nag).await;
                    }
                    Err(error) => {
                        let text = explain(&error);
                        self.part.not_ready(&text);
                        nag.trouble(&text);
                        tokio::time::sleep(backoff.delay()).await;
                        if matches!(error, watcher::Error::WatchStartFailed(_)) {
                            break;
                        }
                    }
                }
            }
        }
    }

    async fn handle(
        &mut self,
        event: watcher::Event<DynamicObject>,
        listed: &mut Option<DynamicObject>,
        nag: &mut Nag,
    ) {
        match event {
            watcher::Event::Init => *listed = None,
            watcher::Event::InitApply(slice) => *listed = Some(slice),
            watcher::Event::InitDone => match listed.take() {
                Some(slice) => self.changed(endpoints(&slice), nag).await,
                None => self.missing(nag).await,
            },
            watcher::Event::Apply(slice) => self.changed(endpoints(&slice), nag).await,
            watcher::Event::Delete(_) => self.missing(nag).await,
        }
    }

    async fn missing(&mut self, nag: &mut Nag) {
        let text = format!(
            "there is no APIExportEndpointSlice `{}` in the kubeconfig's workspace; create the APIExport there \
             (deploy/kcp/apiexport.yaml) or set `kcp.endpointSlice`",
            self.name
        );
        self.update(vec![]).await;
        self.part.not_ready(&text);
        nag.trouble(&text);
    }

    async fn changed(&mut self, urls: Vec<Arc<str>>, nag: &mut Nag) {
        nag.well();
        self.part.ready();
        if urls.is_empty() {
            tracing::info!("no workspace has bound the export yet");
        }
        self.update(urls).await;
    }

    /// Starts and stops watches so that they are those of the slice.
    async fn update(&mut self, urls: Vec<Arc<str>>) {
        self.watches.retain(|url, token| {
            let stays = urls.contains(url);
            if !stays {
                token.cancel();
            }
            stays
        });
        // Whoever is told of an endpoint must know it before its list starts.
        if self
            .inputs
            .send(Input::Event(Event::Endpoints(urls.clone())))
            .await
            .is_err()
        {
            return;
        }
        while self.tasks.try_join_next().is_some() {}
        for url in urls {
            if self.watches.contains_key(&url) {
                continue;
            }
            match self.clients.endpoint(&url) {
                Ok(client) => {
                    tracing::info!(endpoint = %url, "new endpoint");
                    let token = CancellationToken::new();
                    let watch =
                        watch::watch(url.clone(), client, self.inputs.clone(), token.clone());
                    self.tasks.spawn(watch);
                    self.watches.insert(url, token);
                }
                Err(error) => {
                    tracing::error!(endpoint = %url, "an endpoint cannot be used: {}", explain(&error));
                }
            }
        }
    }
}

fn endpoints(slice: &DynamicObject) -> Vec<Arc<str>> {
    let listed = slice
        .data
        .pointer("/status/endpoints")
        .and_then(serde_json::Value::as_array);
    let urls = listed
        .into_iter()
        .flatten()
        .filter_map(|endpoint| endpoint.get("url")?.as_str());
    urls.map(|url| Arc::from(url.trim_end_matches('/')))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_urls_of_a_slice_are_its_endpoints() {
        let slice = |status: serde_json::Value| -> DynamicObject {
            let object = json!({"apiVersion": "apis.kcp.io/v1alpha1", "kind": "APIExportEndpointSlice", "metadata": {}, "status": status});
            serde_json::from_value(object).unwrap()
        };
        let two =
            slice(json!({"endpoints": [{"url": "https://a/services/x/"}, {"url": "https://b"}]}));
        assert_eq!(
            endpoints(&two),
            vec![Arc::from("https://a/services/x"), Arc::from("https://b")]
        );
        assert!(endpoints(&slice(json!({}))).is_empty());
    }
}
