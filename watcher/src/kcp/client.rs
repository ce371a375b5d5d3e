//! Clients: one per endpoint, shared by everything that talks to it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use isc_core::ids::Address;
use isc_runtime::services::Catalogue;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::explain::explain;
use crate::kinds::{Kind, Kinds};

/// A call to the API server may take so long.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Connecting may take so long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The services as they are now.
pub(crate) type Services = watch::Receiver<Arc<Catalogue>>;

/// The clients of all endpoints. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Clients {
    base: Config,
    services: Services,
    kinds: Arc<Kinds>,
    endpoints: Arc<RwLock<HashMap<Arc<str>, Client>>>,
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("no kind {0} is configured")]
    NoKind(Arc<str>),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// Why there is no connection configuration.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The variable is not set.
    #[error(
        "KUBECONFIG is not set: point it at a kubeconfig whose server is the provider workspace, \
         as in https://kcp.example.com/clusters/root:org:provider"
    )]
    NotSet,
    /// The file cannot be used.
    #[error("the kubeconfig {path} cannot be used: {source}")]
    Unusable {
        /// What KUBECONFIG says.
        path: String,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// A client cannot be built from it.
    #[error("no client can be built from the kubeconfig: {0}; check its certificates and its user")]
    Client(#[source] kube::Error),
}

/// Reads the kubeconfig that KUBECONFIG names.
///
/// # Errors
/// See [`KubeconfigError`].
pub(crate) async fn base_config() -> Result<Config, KubeconfigError> {
    let path = std::env::var("KUBECONFIG").unwrap_or_default();
    if path.is_empty() {
        return Err(KubeconfigError::NotSet);
    }
    let unusable = |source| KubeconfigError::Unusable {
        path: path.clone(),
        source,
    };
    let kubeconfig = Kubeconfig::from_env()
        .map_err(unusable)?
        .ok_or(KubeconfigError::NotSet)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(unusable)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Ok(config)
}

// === impl Clients ===

impl Clients {
    /// Clients with the credentials of that configuration. What they read of requests of these kinds is
    /// seen in the light of these services.
    #[must_use]
    pub(crate) fn new(base: Config, services: Services, kinds: Arc<Kinds>) -> Self {
        Self {
            base,
            services,
            kinds,
            endpoints: Arc::default(),
        }
    }

    /// A client of the workspace that KUBECONFIG points at.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub(crate) fn provider(&self) -> Result<Client, kube::Error> {
        Client::try_from(self.base.clone())
    }

    /// The client of an endpoint; made when it is asked for the first time.
    ///
    /// # Errors
    /// When the endpoint is not a URL, or the credentials cannot be used.
    pub(crate) fn endpoint(&self, url: &Arc<str>) -> Result<Client, kube::Error> {
        if let Some(client) = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(url)
        {
            return Ok(client.clone());
        }
        let mut config = self.base.clone();
        config.cluster_url = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| kube::Error::HttpError(error.into()))?;
        let client = Client::try_from(config)?;
        let mut endpoints = self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(endpoints.entry(url.clone()).or_insert(client).clone())
    }

    /// The services as they change.
    pub(super) fn services(&self) -> Services {
        self.services.clone()
    }

    /// The services of now.
    pub(super) fn catalogue(&self) -> Arc<Catalogue> {
        self.services.borrow().clone()
    }

    /// The kinds that are served.
    pub(crate) fn kinds(&self) -> &Arc<Kinds> {
        &self.kinds
    }

    /// The kind of that id.
    pub(super) fn kind(&self, id: &Arc<str>) -> Result<&Arc<Kind>, CallError> {
        let kind = self.kinds.get(id);
        kind.ok_or_else(|| CallError::NoKind(id.clone()))
    }

    /// The path of a request's object below its endpoint. All its parts are DNS names.
    pub(super) fn object_path(&self, address: &Address) -> Result<String, CallError> {
        let kind = self.kind(&address.kind)?.served();
        let (version, plural) = (kind.api_version(), &kind.plural);
        let Address {
            cluster,
            namespace,
            name,
            ..
        } = address;
        Ok(format!(
            "/clusters/{cluster}/apis/{version}/namespaces/{namespace}/{plural}/{name}"
        ))
    }

    /// One call to an endpoint.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        endpoint: &Arc<str>,
        request: http::Result<http::Request<Vec<u8>>>,
    ) -> Result<T, CallError> {
        let request = request.map_err(kube::Error::HttpError)?;
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
