//! The watcher: sees requests in many workspaces, offers their attempts to workers, writes statuses.
//!
//! It runs no job and holds no secret of any internal service. Decisions are made in `isc_core::engine`;
//! this crate is the shell around it: `kcp` (objects), `kinds` (what
//! they say), `tickets` and `dead` (broker), `grpc` (workers),
//! `access` (the way to an API server, as a kubeconfig says it now), `engine` (the task that feeds the engine and
//! carries out its effects), `election` (who of several leads), `reload` (what may run and wait, as files say it),
//! `policy` and `admission` (who may ask for what), `audit` (who decided what, in lines of its own), `scaler` (how
//! many workers KEDA should run), `tls` (who gets through to a port), and `parts`, which starts and ends them all.

mod access;
mod admission;
mod audit;
mod check;
pub mod config;
mod convert;
pub mod crd;
mod dead;
mod election;
mod engine;
mod grpc;
mod kcp;
mod kinds;
mod metrics;
mod parts;
pub mod policy;
mod ports;
mod reload;
mod scaler;
mod select;
mod spans;
mod tickets;
mod tls;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use isc_runtime::{
    admin::{self, Readiness},
    amqp::AmqpError,
    config::ConfigError,
    services::{Catalogue, CatalogueError},
    tls::{ClientCredentials, TlsError},
    trace::{Collector, TraceError},
};
use prometheus_client::registry::Registry;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use access::Access;
pub use access::{KubeconfigError, Origin, ProxyError, ReadError};
use admission::Admission;
pub use audit::AuditError;
pub use check::{Report, check};
use config::WatcherConfig;
pub use election::ElectionError;
use election::{Election, Lead};
use grpc::Allowed;
use kcp::Clients;
use kinds::Kinds;
use metrics::Metrics;
use parts::{Common, Parts, text};
use policy::{Policy, PolicyError};
use ports::{Ports, listen};
use select::Select;
use spans::Spans;

/// Why the watcher cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The services are wrong.
    #[error(transparent)]
    Services(#[from] CatalogueError),
    /// The broker's address or names are wrong.
    #[error(transparent)]
    Amqp(#[from] AmqpError),
    /// There can be no audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no way to reach kcp.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// Spans cannot be sent.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// There can be no election.
    #[error(transparent)]
    Election(#[from] ElectionError),
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
/// `file` is what it was read from. Returns what is odd though it can be used.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_config(
    config: &WatcherConfig,
    file: Option<&Path>,
) -> Result<Vec<String>, WatcherError> {
    let metrics = Arc::new(Metrics::new(&mut Registry::default()));
    let access = Access::named(metrics.clone());
    let prepared = prepare(config, file, metrics.clone(), (access, Lead::default()))?;
    Ports::check(config, &metrics)?;
    if let Some(election) = &config.election {
        election::check(election, metrics)?;
    }
    let warnings = prepared.policy.borrow().warnings();
    Ok(warnings)
}

struct Prepared {
    /// Written to by reloads.
    services: watch::Sender<Arc<Catalogue>>,
    /// Likewise.
    policy: watch::Sender<Arc<Policy>>,
    /// Likewise.
    allowed: watch::Sender<Arc<Allowed>>,
    /// For the broker.
    credentials: Option<Arc<ClientCredentials>>,
    /// Where spans are sent.
    collector: Option<Collector>,
    /// All keys of the configuration.
    keys: Map<String, Value>,
    topology: isc_runtime::amqp::Topology,
    clients: Clients,
}

fn prepare(
    config: &WatcherConfig,
    file: Option<&Path>,
    metrics: Arc<Metrics>,
    (access, lead): (Result<Access, KubeconfigError>, Lead),
) -> Result<Prepared, WatcherError> {
    config.check()?;
    let policy = watch::Sender::new(Arc::new(config.policy.load(file)?));
    let catalogue = Catalogue::load(&config.services_dir)?;
    let topology = config.amqp.topology(&config.instance)?;
    config.amqp.addresses()?;
    audit::check(config.audit.as_ref())?;
    let credentials = config.amqp.credentials(&metrics.certificates)?;
    let tracing = config.tracing.as_ref();
    let collector = tracing.map(|to| to.collector(&metrics.certificates));
    let allowed = watch::Sender::new(Arc::new(Allowed::new(&config.grpc)?));
    let services = watch::Sender::new(Arc::new(catalogue));
    let audited = config.audit.is_some();
    let admission = Admission::new(policy.subscribe(), &config.instance, audited, metrics);
    let select = Arc::new(Select::new(config)?);
    let light = (services.subscribe(), admission, select);
    let kinds = Kinds::new(&config.kinds)?;
    let clients = Clients::new((access?, config.kcp.watch_seconds), light, kinds, lead);
    Ok(Prepared {
        services,
        policy,
        allowed,
        credentials,
        collector: collector.transpose()?,
        keys: isc_runtime::config::load(file)?,
        topology,
        clients,
    })
}

/// Runs until `shutdown`, then writes what is dirty and ends. `file` is what `config` was read from: it and
/// the services are read again when they change. Where there is an election, it stands by until it leads.
///
/// # Errors
/// A wrong configuration, a port that cannot be opened, a lead that was lost, or a part that ended by itself.
pub async fn run(
    config: WatcherConfig,
    file: Option<PathBuf>,
    shutdown: CancellationToken,
) -> Result<(), WatcherError> {
    let mut registry = Registry::default();
    isc_runtime::metrics::register(&mut registry);
    let metrics = Arc::new(Metrics::new(&mut registry));
    let lead = Lead::default();
    let access = (Access::named(metrics.clone()), lead.clone());
    let prepared = prepare(&config, file.as_deref(), metrics.clone(), access)?;
    let doors = Ports::open(&config, &metrics).await?;
    let admin_listener = listen("admin.listen", config.admin.listen).await?;
    let (spans, exporter) = Spans::new(prepared.collector.as_ref(), &config.instance)?;
    let common = Common {
        metrics: metrics.clone(),
        spans,
        readiness: Readiness::default(),
        shutdown,
        rest: CancellationToken::new(),
    };
    let (readiness, rest) = (common.readiness.clone(), common.rest.clone());
    let mut parts = Parts::new(common);
    if let Some(exporter) = exporter {
        parts.export(exporter, &mut registry);
    }
    parts.keep(prepared.clients.access().clone());
    let ears = Arc::new(OnceLock::new());
    parts.serve(doors, &prepared, &ears);
    let admin = admin::serve(admin_listener, Arc::new(registry), readiness.clone(), rest);
    parts.add("the admin server", async { text(admin.await) });
    let Some(election) = &config.election else {
        lead.win_for_ever();
        let heard = parts.start(&config, file, prepared, None);
        return lead_with(parts, (&ears, heard), &metrics).await;
    };
    let part = readiness.part("election");
    let private = election::access(election, metrics.clone())?;
    parts.keep(private.clone());
    let election = Election::new(election, &config.instance, (private, lead.clone()), part)?;
    let Some(elected) = parts.stand_by(election).await? else {
        parts.end().await;
        return Ok(());
    };
    let (config, prepared) = as_it_is_now((config, prepared), file.as_deref(), &metrics, lead);
    let heard = parts.start(&config, file, prepared, Some(elected));
    lead_with(parts, (&ears, heard), &metrics).await
}

/// Lets the workers in, and runs until the end.
async fn lead_with(
    parts: Parts,
    (ears, heard): (&OnceLock<grpc::Ears>, grpc::Ears),
    metrics: &Metrics,
) -> Result<(), WatcherError> {
    ears.get_or_init(|| heard);
    metrics.leader.set(1);
    parts.supervise().await
}

/// Files may have changed while this watcher stood by: what takes effect while one runs does so here as well,
/// and nothing else. Where there is a mistake now, what was read at the start is used, as at a reload.
fn as_it_is_now(
    started: (WatcherConfig, Prepared),
    file: Option<&Path>,
    metrics: &Arc<Metrics>,
    lead: Lead,
) -> (WatcherConfig, Prepared) {
    let read = || {
        let now: WatcherConfig = isc_runtime::config::load(file)?;
        let config = started.0.with_live_keys_of(now);
        let access = (Ok(started.1.clients.access().clone()), lead);
        let mut prepared = prepare(&config, file, metrics.clone(), access)?;
        prepared.keys.clone_from(&started.1.keys);
        // The gRPC server listens to this one already.
        let allowed = std::mem::replace(&mut prepared.allowed, started.1.allowed.clone());
        prepared.allowed.send_replace(allowed.borrow().clone());
        Ok::<_, WatcherError>((config, prepared))
    };
    match read() {
        Ok(read) => read,
        Err(error) => {
            tracing::error!("going on with what was read at the start: {error}");
            metrics.stale("configuration", true);
            started
        }
    }
}

/// Says by which policy requests are judged from now on.
pub(crate) fn announce(policy: &Policy, metrics: &Metrics) {
    metrics.policy(policy);
    tracing::info!(
        "the policy has {} rules, from {}",
        policy.len(),
        policy.origin()
    );
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
}
