//! The watcher: sees requests in many workspaces, offers their attempts to workers, writes statuses.
//!
//! It runs no job and holds no secret of any internal service. Decisions are made in `isc_core::engine`;
//! this crate is the shell around it: `kcp` (objects), `tickets` (broker), `grpc` (workers), `engine`
//! (the task that feeds the engine and carries out its effects).

pub mod config;
mod convert;
pub mod crd;
mod engine;
mod grpc;
mod kcp;
mod metrics;
mod tickets;

use std::{sync::Arc, time::Duration};

use isc_core::{
    engine::{Engine, Event},
    ids::Now,
};
use isc_runtime::{
    admin::{self, Readiness},
    amqp::{AmqpError, Connector},
    config::ConfigError,
    services::{Catalogue, CatalogueError},
};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use config::WatcherConfig;
use engine::{EngineTask, Input, Inputs};
pub use kcp::KubeconfigError;
use kcp::{Clients, Follower};
use metrics::Metrics;
use tickets::Publisher;

/// Events that wait for the engine; whoever brings more waits.
const EVENTS: usize = 4096;
/// Heartbeats that wait for the engine.
const BEATS: usize = 1024;
/// Tickets that wait for the broker.
const OFFERS: usize = 4096;
/// How long servers and watches may take to end after the engine has.
const END: Duration = Duration::from_secs(3);

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
    catalogue: Catalogue,
    topology: isc_runtime::amqp::Topology,
    clients: Clients,
}

async fn prepare(config: &WatcherConfig) -> Result<Prepared, WatcherError> {
    config.check()?;
    let catalogue = Catalogue::load(&config.services_dir)?;
    let topology = config.amqp.topology(&config.instance)?;
    config.amqp.address()?;
    let clients = Clients::new(kcp::base_config().await?);
    clients.provider().map_err(KubeconfigError::Client)?;
    Ok(Prepared {
        catalogue,
        topology,
        clients,
    })
}

/// Runs until `shutdown`, then writes what is dirty and ends.
///
/// # Errors
/// A wrong configuration, a port that cannot be opened, or a part that ended by itself.
pub async fn run(config: WatcherConfig, shutdown: CancellationToken) -> Result<(), WatcherError> {
    let prepared = prepare(&config).await?;
    let grpc_listener = listen("grpc.listen", config.grpc.listen).await?;
    let admin_listener = listen("admin.listen", config.admin.listen).await?;
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let readiness = Readiness::default();
    // Everything but the engine ends after it, so that the last words still go out.
    let rest = CancellationToken::new();
    let mut parts = Parts::new();
    let ends = Ends {
        shutdown: shutdown.clone(),
        rest: rest.clone(),
    };
    let (inputs, beats) = start(&mut parts, &config, prepared, (&readiness, metrics), ends);
    let service = grpc::Service::new(inputs, beats, rest.clone());
    parts.spawn(async move { ("the gRPC server", text(service.serve(grpc_listener).await)) });
    let admin = admin::serve(admin_listener, Arc::new(registry), readiness, rest.clone());
    parts.spawn(async move { ("the admin server", text(admin.await)) });
    tracing::info!(
        grpc = %config.grpc.listen, admin = %config.admin.listen, instance = config.instance,
        "watching"
    );
    supervise(parts, shutdown, rest).await
}

/// The named parts of the process, and how each ended.
type Parts = JoinSet<(&'static str, Result<(), String>)>;

/// Who ends when: the engine at the shutdown, the rest after it.
struct Ends {
    shutdown: CancellationToken,
    rest: CancellationToken,
}

/// Starts the engine and what feeds it from kcp and the broker; returns where workers' words go.
fn start(
    parts: &mut Parts,
    config: &WatcherConfig,
    prepared: Prepared,
    (readiness, metrics): (&Readiness, Arc<Metrics>),
    ends: Ends,
) -> (mpsc::Sender<Input>, mpsc::Sender<Event>) {
    let Prepared {
        catalogue,
        topology,
        clients,
    } = prepared;
    let (inputs, from_inputs) = mpsc::channel(EVENTS);
    let (beats, from_beats) = mpsc::channel(BEATS);
    let (offers, from_offers) = mpsc::channel(OFFERS);
    let start = Instant::now();
    let now = Now {
        mono: Duration::ZERO,
        wall: jiff::Timestamp::now(),
    };
    let engine = Engine::new(config.engine(&catalogue), now);
    let engine = EngineTask::new(engine, start, clients.clone(), offers, metrics.clone());
    let from = Inputs {
        beats: from_beats,
        inputs: from_inputs,
    };
    let drain = Duration::from_secs(config.drain_seconds);
    let engine = engine.run(from, ends.shutdown, drain);
    parts.spawn(async move { ("the engine", text(engine.await)) });
    let slice = config.kcp.endpoint_slice.clone();
    let follower = Follower::new(clients, slice, inputs.clone(), readiness.part("kcp"));
    let follower = follower.run(ends.rest.clone());
    parts.spawn(async move { ("the endpoint follower", text(follower.await)) });
    let name = format!("isc-watcher {}", config.instance);
    let connector = Connector::new(config.amqp.clone(), name, readiness.part("rabbitmq"));
    let publisher = Publisher {
        instance: config.instance.clone(),
        topology,
        services: catalogue
            .iter()
            .map(|service| service.name.clone())
            .collect(),
        offers: from_offers,
        inputs: inputs.clone(),
        metrics,
        stop: ends.rest.clone(),
    };
    parts.spawn(async move {
        connector.supervise(ends.rest, publisher).await;
        ("the publisher", Ok(()))
    });
    (inputs, beats)
}

/// Waits for the first part to end: on shutdown that is the engine, and the rest follows it.
async fn supervise(
    mut parts: Parts,
    shutdown: CancellationToken,
    rest: CancellationToken,
) -> Result<(), WatcherError> {
    let (part, result) = match parts.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(error)) => ("a part", Err(error.to_string())),
        None => ("everything", Ok(())),
    };
    if !shutdown.is_cancelled() {
        let why = result.err().unwrap_or_else(|| "it returned".into());
        return Err(WatcherError::Ended { part, why });
    }
    rest.cancel();
    let all = async { while parts.join_next().await.is_some() {} };
    if tokio::time::timeout(END, all).await.is_err() {
        tracing::warn!("some connections did not end in time");
    }
    tracing::info!("ended");
    result.map_err(|why| WatcherError::Ended { part, why })
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

fn text<E: std::fmt::Display>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}
