//! Clients: one per endpoint, shared by everything that talks to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use isc_core::ids::Address;
use isc_runtime::{nag::Nag, services::Catalogue};
use kube::{Client, client::Body, runtime::watcher};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{
    busy,
    explain::explain,
    paths::Paths,
    place::{self, Place, Reach},
};
use crate::{
    access::Access,
    admission::Admission,
    config::Mode,
    election::Lead,
    kinds::{Kind, Kinds},
    select::Select,
};

/// A call to the API server may take so long.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The services as they are now.
pub(crate) type Services = watch::Receiver<Arc<Catalogue>>;

/// The clients of all endpoints. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Clients {
    access: Access,
    watch_seconds: u32,
    services: Services,
    select: Arc<Select>,
    admission: Admission,
    kinds: Kinds,
    paths: Paths,
    mode: Arc<OnceLock<Mode>>,
    lead: Lead,
    /// Status writes that are forbidden.
    pub(super) refusals: Arc<Mutex<Nag>>,
    endpoints: Arc<RwLock<HashMap<String, Client>>>,
}

/// Where the Leases of this watcher are.
#[derive(Clone)]
pub(crate) struct Home {
    /// Of the provider workspace, or of the plain cluster.
    pub(super) client: Client,
    pub(super) namespace: String,
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("no kind {0} is configured")]
    NoKind(Arc<str>),
    #[error("this watcher leads no more")]
    NoLead,
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

// === impl Clients ===

impl Clients {
    /// Clients with the credentials of that access, which ask again for what a watch shows after so many seconds.
    /// What they read of requests of these kinds is seen in the light of these services, and judged there.
    #[must_use]
    pub(crate) fn new(
        (access, watch_seconds): (Access, u32),
        (services, admission, select): (Services, Admission, Arc<Select>),
        kinds: Kinds,
        lead: Lead,
    ) -> Self {
        Self {
            access,
            watch_seconds,
            lead,
            services,
            admission,
            select,
            kinds,
            paths: Paths::new(),
            mode: Arc::default(),
            refusals: Arc::new(Mutex::new(Nag::new("the right to write statuses"))),
            endpoints: Arc::default(),
        }
    }

    /// Which requests this instance serves.
    pub(super) fn select(&self) -> &Arc<Select> {
        &self.select
    }

    /// A client of the workspace that KUBECONFIG points at.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub(crate) fn provider(&self) -> Result<Client, kube::Error> {
        busy::client(&self.access, self.access.url(), self.lead.clone())
    }

    /// The way to kcp.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// How everything is watched.
    pub(super) fn watching(&self) -> watcher::Config {
        watcher::Config::default().timeout(self.watch_seconds)
    }

    /// Whether this watcher leads.
    pub(crate) fn lead(&self) -> &Lead {
        &self.lead
    }

    /// What KUBECONFIG points at.
    pub(super) fn url(&self) -> String {
        self.access.url().to_string()
    }

    /// The namespace that KUBECONFIG names.
    pub(super) fn namespace(&self) -> String {
        self.access.namespace()
    }

    /// How requests are reached, said once, before the first of them is known.
    pub(super) fn reaches(&self, mode: Mode) {
        self.mode.get_or_init(|| mode);
    }

    /// What requests are reached through.
    pub(super) fn reach(&self) -> Reach {
        match self.mode.get() {
            Some(Mode::Kubernetes) => Reach::Plain,
            Some(Mode::Kcp | Mode::Static) | None => Reach::Workspaces,
        }
    }

    /// Where Leases can be kept; nowhere in a virtual workspace, nor while it is not known what there is.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub(crate) fn home(&self) -> Result<Option<Home>, kube::Error> {
        let namespace = match self.mode.get() {
            Some(Mode::Kcp) => "default".to_owned(),
            // The watcher's own, not one of those that it serves: who may write there can leave marks.
            Some(Mode::Kubernetes) => self.access.namespace(),
            Some(Mode::Static) | None => return Ok(None),
        };
        let client = self.provider()?;
        Ok(Some(Home { client, namespace }))
    }

    /// The client of an endpoint; made when it is asked for the first time.
    ///
    /// # Errors
    /// When the endpoint is not a URL, or the credentials cannot be used.
    pub(crate) fn endpoint(&self, endpoint: &str) -> Result<Client, kube::Error> {
        let (url, _) = place::parts(endpoint);
        if let Some(client) = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(url)
        {
            return Ok(client.clone());
        }
        let parsed = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| kube::Error::HttpError(error.into()))?;
        let client = busy::client(&self.access, parsed, self.lead.clone())?;
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(endpoints.entry(url.to_owned()).or_insert(client).clone())
    }

    /// The kinds that are served.
    pub(crate) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The kind of that id.
    pub(super) fn kind(&self, id: &Arc<str>) -> Result<&Arc<Kind>, CallError> {
        let kind = self.kinds.get(id);
        kind.ok_or_else(|| CallError::NoKind(id.clone()))
    }

    /// The paths of workspaces.
    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Where a request is seen.
    pub(super) fn place(&self, address: &Address) -> Place {
        Place {
            source: address.source(),
            reach: self.reach(),
        }
    }

    /// The path of a request's object below its endpoint. All its parts are DNS names.
    pub(super) fn object_path(&self, address: &Address) -> Result<String, CallError> {
        let kind = self.kind(&address.kind)?.served();
        let (prefix, version) = (self.reach().prefix(&address.cluster), kind.api_version());
        let (namespace, plural) = (&address.namespace, &kind.plural);
        let name = &address.name;
        Ok(format!(
            "{prefix}/apis/{version}/namespaces/{namespace}/{plural}/{name}"
        ))
    }

    /// The services as they change.
    pub(super) fn services(&self) -> Services {
        self.services.clone()
    }

    /// Where new requests are judged.
    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The services of now.
    pub(super) fn catalogue(&self) -> Arc<Catalogue> {
        self.services.borrow().clone()
    }

    /// One call to an endpoint.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        endpoint: &str,
        request: http::Result<http::Request<Vec<u8>>>,
    ) -> Result<T, CallError> {
        let request = request.map_err(kube::Error::HttpError)?;
        // The process may have stood still since the engine decided on it.
        if self.lead.is_over() {
            return Err(CallError::NoLead);
        }
        within(CALL_TIMEOUT, self.endpoint(endpoint)?.request(request)).await
    }
}

// === impl CallError ===

impl CallError {
    /// The server's own word on it, when it gave one.
    pub(super) fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            _ => None,
        }
    }

    /// What the server said, or why it said nothing; without a remedy.
    pub(super) fn plain(&self) -> String {
        self.status()
            .map_or_else(|| explain(self), |status| status.message.clone())
    }

    /// The HTTP code of the server's answer; 0 when it gave none.
    pub(super) fn code(&self) -> u16 {
        self.status().map_or(0, |status| status.code)
    }
}

/// Awaits a call for at most that long.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    let answer = tokio::time::timeout(limit, call).await;
    Ok(answer.map_err(|_elapsed| CallError::Timeout(limit))??)
}

/// A client for all workspaces of an endpoint: list and watch only.
pub(super) fn wildcard(endpoint: Client) -> Client {
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let endpoint = endpoint.clone();
        async move {
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str);
            *request.uri_mut() = format!("/clusters/*{path}").parse()?;
            endpoint.send(request).await.map_err(tower::BoxError::from)
        }
    });
    Client::new(service, "default")
}
