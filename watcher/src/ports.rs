//! The ports for workers and for KEDA.

use std::{net::SocketAddr, sync::Arc};

use isc_runtime::tls::{ServerCredentials, ServerTlsConfig, TlsError};
use tokio::net::TcpListener;

use crate::{
    WatcherError,
    config::WatcherConfig,
    metrics::Metrics,
    tls::{Listening, Port},
};

/// The ports that are open.
pub(crate) struct Ports {
    /// For workers.
    pub(crate) grpc: Listening,
    /// For KEDA.
    pub(crate) scaler: Option<Listening>,
    /// What is shown there; kept fresh by somebody.
    pub(crate) credentials: Vec<Arc<ServerCredentials>>,
}

/// What is shown at the ports; nothing where a port is open to everybody.
struct Shown {
    grpc: Option<Arc<ServerCredentials>>,
    scaler: Option<Arc<ServerCredentials>>,
}

// === impl Ports ===

impl Ports {
    /// Reads the certificates, to see whether they can be used.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub(crate) fn check(config: &WatcherConfig, metrics: &Metrics) -> Result<(), TlsError> {
        Shown::read(config, metrics).map(drop)
    }

    /// Opens them.
    ///
    /// # Errors
    /// When certificates cannot be used, or a port is taken.
    pub(crate) async fn open(
        config: &WatcherConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, WatcherError> {
        let Shown { grpc, scaler } = Shown::read(config, metrics)?;
        let credentials = grpc.iter().chain(&scaler).cloned().collect();
        let port = |listener, shown: Option<Arc<ServerCredentials>>, section, expected| match shown
        {
            None => Listening::Plain(listener),
            Some(credentials) => Listening::Tls(Port {
                listener,
                credentials,
                section,
                expected,
                metrics: metrics.clone(),
            }),
        };
        let listener = listen("grpc.listen", config.grpc.listen).await?;
        let expected = "workers with usable certificates";
        let grpc = port(listener, grpc, "grpc.tls", expected);
        let scaler = match &config.scaler {
            None => None,
            Some(at) => {
                let listener = listen("scaler.listen", at.listen).await?;
                let expected = "KEDA with a usable certificate";
                Some(port(listener, scaler, "scaler.tls", expected))
            }
        };
        Ok(Self {
            grpc,
            scaler,
            credentials,
        })
    }
}

// === impl Shown ===

impl Shown {
    fn read(config: &WatcherConfig, metrics: &Metrics) -> Result<Self, TlsError> {
        let read = |section, r#use, tls: Option<&ServerTlsConfig>| {
            let shown = |tls| {
                let shown = metrics.certificates.of(r#use, true);
                ServerCredentials::server(section, tls, shown).map(Arc::new)
            };
            tls.map(shown).transpose()
        };
        let scaler = config
            .scaler
            .as_ref()
            .and_then(|scaler| scaler.tls.as_ref());
        Ok(Self {
            grpc: read("grpc.tls", "grpc", config.grpc.tls.as_ref())?,
            scaler: read("scaler.tls", "scaler", scaler)?,
        })
    }
}

/// Opens one port; `key` names it in the error.
///
/// # Errors
/// When it is taken or not ours.
pub(crate) async fn listen(
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, WatcherError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| WatcherError::Listen {
            key,
            address,
            source,
        })
}
