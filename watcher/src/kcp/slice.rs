//! Follows one endpoint slice of an export: where its requests are.

use std::sync::Arc;

use isc_runtime::nag::Nag;
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::watcher,
};
use tokio::sync::mpsc;

use super::{
    follow::{Listener, follow},
    lists::Lists,
};

/// Hears of one `APIExportEndpointSlice`.
pub(super) struct Slice {
    name: String,
    lists: Lists,
    found: mpsc::Sender<Found>,
    /// What the list of now has shown so far.
    listed: Option<DynamicObject>,
}

/// The endpoints of a slice, whenever they changed.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) slice: String,
    pub(super) urls: Vec<Arc<str>>,
}

// === impl Slice ===

impl Slice {
    /// The slice of that name. Its endpoints go to `found`, its troubles to `lists`.
    #[must_use]
    pub(super) fn new(name: String, lists: Lists, found: mpsc::Sender<Found>) -> Self {
        Self {
            name,
            lists,
            found,
            listed: None,
        }
    }

    /// Follows it in the workspace of that client until nobody wants to know.
    pub(super) async fn run(mut self, client: Client, watching: watcher::Config) {
        let only = watching.fields(&selector(&self.name));
        follow(slices(client), only, &mut self).await;
    }

    async fn missing(&mut self, nag: &mut Nag) {
        let text = absent(&self.name);
        self.tell(vec![]).await;
        self.lists.no_slice(&self.name, &text);
        nag.trouble(&text);
    }

    async fn changed(&mut self, urls: Vec<Arc<str>>, nag: &mut Nag) {
        nag.well();
        if urls.is_empty() {
            tracing::info!(slice = self.name, "no workspace has bound the export yet");
        }
        self.tell(urls).await;
        self.lists.slice(&self.name);
    }

    async fn tell(&self, urls: Vec<Arc<str>>) {
        let slice = self.name.clone();
        // Fails when nobody listens.
        let _ended = self.found.send(Found { slice, urls }).await;
    }
}

impl Listener<DynamicObject> for Slice {
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
        !self.found.is_closed()
    }

    async fn trouble(&mut self, _: &watcher::Error, why: String) -> String {
        self.lists.no_slice(&self.name, &why);
        why
    }

    /// One object is listed soon, and only an event tells that the trouble is over.
    fn wants_fresh(&self, _: &watcher::Error) -> bool {
        true
    }
}

/// All slices of a workspace.
pub(super) fn slices(client: Client) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("apis.kcp.io", "v1alpha1", "APIExportEndpointSlice");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "apiexportendpointslices");
    Api::all_with(client, &resource)
}

/// Selects one: RBAC on one name allows list and watch only with it.
pub(super) fn selector(name: &str) -> String {
    format!("metadata.name={name}")
}

/// That there is no such slice, and what to do.
pub(super) fn absent(name: &str) -> String {
    format!(
        "there is no APIExportEndpointSlice `{name}` in the kubeconfig's workspace; create the APIExport there \
         (deploy/kcp/apiexport.yaml) or set `kcp.endpointSlice`"
    )
}

pub(super) fn endpoints(slice: &DynamicObject) -> Vec<Arc<str>> {
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
