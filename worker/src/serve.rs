//! `isc-worker serve`: puts the parts together and ends them in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use isc_core::worker_session::{Policy, Worker};
use isc_runtime::{
    admin::{self, Part, Readiness},
    amqp::{AmqpConfig, BrokerState, Connector, Topology},
    services::Service,
    tls::{CertificateMetrics, ClientCredentials},
    trace::{Counts, Exporter, KeyValue, TraceError, Tracer},
};
use prometheus_client::registry::Registry;
use rand::RngExt as _;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Agent, Inputs},
    config::Checked,
    exec::Output,
    executors::Surroundings,
    intake::{self, FromIntake, Till},
    jobs::{Executors, Jobs},
    metrics::Metrics,
    session::{FromSession, Session, Watcher},
    spans::Tickets,
    warden::{self, Warden},
    wire::Identity,
};

/// The shortest time between two progress messages of one job.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// Each of the channels into the agent; senders wait when one is full.
const INPUT_MAX: usize = 256;

/// Why the worker could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The admin server's address is taken or not ours.
    #[error("cannot listen on {address}: {source}; choose another address with `admin.listen`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// Spans cannot be sent.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A part ended that must not.
    #[error("the {0} task ended unexpectedly")]
    Task(&'static str),
}

/// Where the broker is, what an encrypted connection to it uses, and the names there.
type Broker = (AmqpConfig, Option<Arc<ClientCredentials>>, Topology);

/// What the parts share.
struct Parts {
    readiness: Readiness,
    metrics: Metrics,
    tracer: Tracer,
    /// Everything but the agent ends with it.
    over: CancellationToken,
    tasks: JoinSet<&'static str>,
}

/// Runs a worker until `shutdown` and its drain, or until the watcher asks it to leave.
///
/// It starts when neither watcher nor broker is there, waits for them and recovers when they come.
///
/// # Errors
/// See [`ServeError`].
pub async fn run(checked: Checked, shutdown: CancellationToken) -> Result<(), ServeError> {
    let address = checked.config.admin.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    let (tracer, exporter) = tracer(&checked)?.unzip();
    let mut parts = Parts {
        tracer: tracer.unwrap_or_default(),
        readiness: Readiness::default(),
        metrics: Metrics::default(),
        over: CancellationToken::new(),
        tasks: JoinSet::new(),
    };
    parts.start_admin(
        listener,
        &checked.certificates,
        exporter.as_ref().map(Exporter::counts),
    );
    if let Some(exporter) = exporter {
        let exporting = exporter.run(parts.over.clone());
        parts.tasks.spawn(named("span exporter", exporting));
    }
    let working = parts.start_worker(checked, shutdown);
    let ended = tokio::select! {
        () = working => Ok(()),
        Some(ended) = parts.tasks.join_next() => Err(ServeError::Task(ended.unwrap_or("crashed"))),
    };
    parts.over.cancel();
    while parts.tasks.join_next().await.is_some() {}
    ended
}

// === impl Parts ===

impl Parts {
    fn start_admin(
        &mut self,
        listener: TcpListener,
        certificates: &CertificateMetrics,
        spans: Option<Counts>,
    ) {
        let mut registry = Registry::default();
        isc_runtime::metrics::register(&mut registry);
        self.metrics.register(&mut registry);
        certificates.register(&mut registry);
        if let Some(spans) = spans {
            spans.register(&mut registry);
        }
        let (registry, readiness) = (Arc::new(registry), self.readiness.clone());
        let serving = admin::serve(listener, registry, readiness, self.over.clone());
        self.tasks.spawn(named("admin", async {
            if let Err(error) = serving.await {
                tracing::error!("the admin server failed: {error}");
            }
        }));
    }

    /// Starts session and intake; the agent is for the caller to run.
    fn start_worker(
        &mut self,
        checked: Checked,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let Checked {
            config,
            services,
            handlers,
            topology,
            watcher,
            credentials,
            certificates: _registered,
            collector: _used,
        } = checked;
        let names: Vec<_> = services.iter().map(|s| s.name.clone()).collect();
        let part = self.readiness.part("watcher");
        for credentials in watcher.credentials().into_iter().chain(credentials.clone()) {
            self.start_reader(credentials);
        }
        let (from_session, may_greet) = self.start_session(watcher, part.clone());
        let tickets = Tickets::new(self.tracer.clone(), topology.clone());
        let broker = (config.amqp.clone(), credentials, topology);
        let (from_intake, till) = self.start_intake(&config.name, broker, names.clone());
        let surroundings = Surroundings {
            handlers,
            work_dir: config.work_dir.clone(),
            output: Output::Log,
            warden: self.start_keeper(),
        };
        let (reports, progress) = mpsc::channel(INPUT_MAX);
        self.metrics.slots.set(i64::from(config.slots));
        let agent = Agent {
            worker: Worker::new(Policy {
                slots: config.slots,
                hold: config.claim_hold(),
                progress_interval: PROGRESS_INTERVAL,
            }),
            identity: Identity {
                incarnation: format!("{:016x}", rand::rng().random::<u64>()),
                worker: config.name.clone(),
                services: names,
                slots: config.slots,
            },
            jobs: Jobs::new(
                executors(services, &surroundings),
                surroundings.warden,
                reports,
                self.tracer.clone(),
            ),
            tickets,
            till,
            may_greet,
            watcher: part,
            metrics: self.metrics.clone(),
            drain: config.drain(),
        };
        let inputs = Inputs {
            session: from_session,
            intake: from_intake,
            progress,
        };
        agent.run(inputs, shutdown)
    }

    /// Looks after certificates.
    fn start_reader(&mut self, credentials: Arc<ClientCredentials>) {
        let over = self.over.clone();
        self.tasks.spawn(named("certificates", async move {
            credentials.keep_fresh(over).await;
        }));
    }

    fn start_keeper(&mut self) -> Warden {
        let (warden, keeper) = warden::pair();
        self.tasks
            .spawn(named("warden", keeper.run(self.over.clone())));
        warden
    }

    fn start_session(
        &mut self,
        watcher: Watcher,
        part: Part,
    ) -> (mpsc::Receiver<FromSession>, watch::Sender<bool>) {
        let (agent, from_session) = mpsc::channel(INPUT_MAX);
        let (may_greet, greeting) = watch::channel(true);
        let session = Session {
            welcomed: None,
            watcher,
            agent,
            may_greet: greeting,
            part,
        };
        self.tasks
            .spawn(named("session", session.run(self.over.clone())));
        (from_session, may_greet)
    }

    fn start_intake(
        &mut self,
        worker: &str,
        (config, credentials, topology): Broker,
        services: Vec<String>,
    ) -> (mpsc::Receiver<FromIntake>, Till) {
        let (agent, from_intake) = mpsc::channel(INPUT_MAX);
        let metrics = self.metrics.clone();
        let (till, intake) = intake::pair(topology, services, agent, metrics);
        let title = format!("isc-worker {worker}");
        let part = self.readiness.part("rabbitmq");
        let connector = Connector::new(config, credentials, title, part);
        let shown = gauge(connector.state(), self.metrics.clone());
        self.tasks.spawn(named("broker gauge", shown));
        let over = self.over.clone();
        self.tasks.spawn(named("intake", async move {
            connector.supervise(over, intake).await;
        }));
        (from_intake, till)
    }
}

fn executors(services: Vec<Service>, surroundings: &Surroundings) -> Executors {
    let executor = |service: Service| {
        let executor = surroundings.executor(&service);
        let executor = executor.expect("the check of the configuration has found every handler");
        (service.name, executor)
    };
    services.into_iter().map(executor).collect()
}

/// What makes the spans, and what sends them.
fn tracer(checked: &Checked) -> Result<Option<(Tracer, Exporter)>, TraceError> {
    let names = [
        KeyValue::new("service.name", "isc-worker"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", checked.config.name.clone()),
    ];
    let collector = checked.collector.as_ref();
    collector
        .map(|collector| Tracer::new(collector, names))
        .transpose()
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Shows the broker's state; ends with the connector.
async fn gauge(mut state: watch::Receiver<BrokerState>, metrics: Metrics) {
    while state.changed().await.is_ok() {
        let connected = state.borrow_and_update().is_connected();
        metrics.broker_connected.set(i64::from(connected));
    }
}
