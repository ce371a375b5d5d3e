//! The watcher: sees requests in many workspaces, offers their attempts to workers, writes statuses.
//!
//! It runs no job and holds no secret of any internal service. Decisions are made in `isc_core::engine`;
//! this crate is the shell around it: `kcp` (objects), `tickets` and `dead` (broker), `grpc` (workers),
//! `engine` (the task that feeds the engine and carries out its effects), `reload` (what may run and wait,
//! as files say it), and `parts`, which starts and ends them all.

pub mod config;
mod convert;
pub mod crd;
mod dead;
mod engine;
mod grpc;
mod kcp;
mod metrics;
mod parts;
mod reload;
mod tickets;

use std::{path::PathBuf, sync::Arc};

use isc_runtime::{
    admin::{self, Readiness},
    amqp::AmqpError,
    config::ConfigError,
    services::{Catalogue, CatalogueError},
};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use config::WatcherConfig;
use kcp::Clients;
pub use kcp::KubeconfigError;
use metrics::Metrics;
use parts::{Common, Parts, text};

/// Why the watcher cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The services are wrong.
    #[error(transparent)]
    Services(#[from] CatalogueError),
    /// The broker's address or names are wrong.
    #[error(transparent)]
    Amqp(#[from] AmqpError),
    /// There is no way to reach kcp.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// A port cannot be opened.
    #[error("cannot listen on {address} (`{key}`): {source}")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// A part ended that never should.
    #[error("{part} ended unexpectedly: {why}")]
    Ended {
        /// Which.
        part: &'static str,
        /// Why.
        why: String,
    },
}

/// Everything that can be checked without a connection: for `--check-config` and at every start.
///
/// # Errors
/// The first thing that is wrong.
pub async fn check(config: &WatcherConfig) -> Result<(), WatcherError> {
    prepare(config).await.map(|_| ())
}

struct Prepared {
    /// Written to by reloads.
    services: watch::Sender<Arc<Catalogue>>,
    topology: isc_runtime::amqp::Topology,
    clients: Clients,
}

async fn prepare(config: &WatcherConfig) -> Result<Prepared, WatcherError> {
    config.check()?;
    let catalogue = Catalogue::load(&config.services_dir)?;
    let topology = config.amqp.topology(&config.instance)?;
    config.amqp.address()?;
    let services = watch::Sender::new(Arc::new(catalogue));
    let clients = Clients::new(kcp::base_config().await?, services.subscribe());
    clients.provider().map_err(KubeconfigError::Client)?;
    Ok(Prepared {
        services,
        topology,
        clients,
    })
}

/// Runs until `shutdown`, then writes what is dirty and ends. `file` is what `config` was read from: it and
/// the services are read again when they change.
///
/// # Errors
/// A wrong configuration, a port that cannot be opened, or a part that ended by itself.
pub async fn run(
    config: WatcherConfig,
    file: Option<PathBuf>,
    shutdown: CancellationToken,
) -> Result<(), WatcherError> {
    let prepared = prepare(&config).await?;
    let grpc_listener = listen("grpc.listen", config.grpc.listen).await?;
    let admin_listener = listen("admin.listen", config.admin.listen).await?;
    let mut registry = Registry::default();
    let common = Common {
        metrics: Arc::new(Metrics::new(&mut registry)),
        readiness: Readiness::default(),
        shutdown,
        rest: CancellationToken::new(),
    };
    let (readiness, rest) = (common.readiness.clone(), common.rest.clone());
    let metrics = common.metrics.clone();
    let mut parts = Parts::new(common);
    let (inputs, beats) = parts.start(&config, file, prepared)?;
    let service = grpc::Service::new(inputs, beats, metrics, rest.clone());
    parts.add("the gRPC server", async {
        text(service.serve(grpc_listener).await)
    });
    let admin = admin::serve(admin_listener, Arc::new(registry), readiness, rest);
    parts.add("the admin server", async { text(admin.await) });
    tracing::info!(
        grpc = %config.grpc.listen, admin = %config.admin.listen, instance = config.instance,
        "watching"
    );
    parts.supervise().await
}

async fn listen(
    key: &'static str,
    address: std::net::SocketAddr,
) -> Result<TcpListener, WatcherError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| WatcherError::Listen {
            key,
            address,
            source,
        })
}
