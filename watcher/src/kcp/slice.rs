//! Follows the endpoint slice of the export, and watches each endpoint in it.

use std::{collections::HashMap, sync::Arc};

use isc_core::engine::Event;
use isc_runtime::{admin::Part, nag::Nag};
use kube::{
    Api,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::watcher,
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    client::Clients,
    explain::explain,
    follow::{Listener, follow},
    lists::Lists,
    mark::{Mark, Taken},
    watch::{self, Requests},
};
use crate::{engine::Input, kinds::Kind};

/// Follows one `APIExportEndpointSlice`.
pub(crate) struct Follower {
    clients: Clients,
    name: String,
    inputs: mpsc::Sender<Input>,
    lists: Lists,
    /// What the list of now has shown so far.
    listed: Option<DynamicObject>,
    watches: HashMap<Arc<str>, CancellationToken>,
    tasks: JoinSet<()>,
}

// === impl Follower ===

impl Follower {
    /// Follows the slice of that name in the workspace of the clients. `part` shows whether it is known
    /// and its endpoints are listed.
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
            lists: Lists::new(part),
            listed: None,
            watches: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Takes the mark of the watcher before, then follows until cancelled.
    ///
    /// # Errors
    /// When the credentials cannot be used at all.
    pub(crate) async fn run(
        mut self,
        mark: Mark,
        stop: CancellationToken,
    ) -> Result<(), kube::Error> {
        let client = self.clients.provider()?;
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work(client, mark) => {}
        }
        self.tasks.shutdown().await;
        Ok(())
    }

    async fn work(&mut self, client: kube::Client, mark: Mark) {
        // Nothing can be granted before the first list; so the mark is gone before the first grant.
        let lists = self.lists.clone();
        match mark.take(&client, |why| lists.no_slice(why)).await {
            Taken::HandedOver => {
                // Fails when nobody listens.
                let _ended = self.inputs.send(Input::Event(Event::HandedOver)).await;
            }
            Taken::Nothing => {}
            Taken::Unknown => drop(self.tasks.spawn(mark.forget(client.clone()))),
        }
        let gvk = GroupVersionKind::gvk("apis.kcp.io", "v1alpha1", "APIExportEndpointSlice");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "apiexportendpointslices");
        let api: Api<DynamicObject> = Api::all_with(client, &resource);
        // RBAC on one name allows list and watch only with this selector.
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        follow(api, only, self).await;
    }

    async fn missing(&mut self, nag: &mut Nag) {
        let text = format!(
            "there is no APIExportEndpointSlice `{}` in the kubeconfig's workspace; create the APIExport there \
             (deploy/kcp/apiexport.yaml) or set `kcp.endpointSlice`",
            self.name
        );
        self.update(vec![]).await;
        self.lists.no_slice(&text);
        nag.trouble(&text);
    }

    async fn changed(&mut self, urls: Vec<Arc<str>>, nag: &mut Nag) {
        nag.well();
        if urls.is_empty() {
            tracing::info!("no workspace has bound the export yet");
        }
        self.update(urls).await;
    }

    /// Starts and stops watches so that they are those of the slice.
    async fn update(&mut self, urls: Vec<Arc<str>>) {
        self.lists.endpoints(&urls);
        self.watches.retain(|url, token| {
            let stays = urls.contains(url);
            if !stays {
                token.cancel();
            }
            stays
        });
        // Whoever is told of an endpoint must know it before its list starts. Fails when nobody listens.
        let _ended = self
            .inputs
            .send(Input::Event(Event::Endpoints(urls.clone())))
            .await;
        while self.tasks.try_join_next().is_some() {}
        for url in urls {
            if self.watches.contains_key(&url) {
                continue;
            }
            match self.clients.endpoint(&url) {
                Ok(client) => self.start(url, client),
                Err(error) => {
                    tracing::error!(endpoint = %url, "an endpoint cannot be used: {}", explain(&error));
                }
            }
        }
    }

    fn start(&mut self, url: Arc<str>, client: kube::Client) {
        tracing::info!(endpoint = %url, "new endpoint");
        let token = CancellationToken::new();
        let (inputs, lists) = (self.inputs.clone(), self.lists.clone());
        let kind = Arc::new(Kind::request());
        let requests = Requests::new(url.clone(), kind, &self.clients, inputs, lists);
        self.tasks
            .spawn(watch::watch(requests, client, token.clone()));
        self.watches.insert(url, token);
    }
}

impl Listener<DynamicObject> for Follower {
    const WHAT: &'static str = "kcp";

    async fn hear(&mut self, event: watcher::Event<DynamicObject>, nag: &mut Nag) -> bool {
        match event {
            watcher::Event::Init => self.listed = None,
            watcher::Event::InitApply(slice) => self.listed = Some(slice),
            watcher::Event::InitDone => match self.listed.take() {
                Some(slice) => self.changed(endpoints(&slice), nag).await,
                None => self.missing(nag).await,
            },
            watcher::Event::Apply(slice) => self.changed(endpoints(&slice), nag).await,
            watcher::Event::Delete(_) => self.missing(nag).await,
        }
        !self.inputs.is_closed()
    }

    fn trouble(&mut self, why: String) -> String {
        self.lists.no_slice(&why);
        why
    }

    /// One object is listed soon, and only an event tells that the trouble is over.
    fn wants_fresh(&self, _: &watcher::Error) -> bool {
        true
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
