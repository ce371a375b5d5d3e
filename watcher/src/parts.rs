//! The parts of the process: who starts them, what they share, and who ends when.

mod auditing;
mod broker;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use isc_core::{engine::Engine, ids::Now};
use isc_runtime::{
    admin::Readiness,
    services::Catalogue,
    tls::{ClientCredentials, Credentials},
    trace::Exporter,
};
use prometheus_client::registry::Registry;
use serde_json::{Map, Value};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Prepared, WatcherError,
    access::Access,
    announce,
    audit::Auditor,
    config::WatcherConfig,
    election::{Election, Seat, Won},
    engine::{EngineTask, Input, Inputs, Outputs},
    grpc::{Ears, Service},
    kcp::{Announcer, Before, Clients, Follower, Mark, News},
    metrics::Metrics,
    ports::Ports,
    reload::{Outlets, Reloader, Sources},
    scaler::{Demand, Scaler},
    spans::Spans,
};

/// Events that wait for the engine; whoever brings more waits.
const EVENTS: usize = 4096;
/// Heartbeats that wait for the engine.
const BEATS: usize = 1024;
/// Tickets that wait for the broker.
const OFFERS: usize = 4096;
/// Changes that wait to be told as Kubernetes Events.
const NEWS: usize = 1024;
/// How long servers and watches may take to end after the engine has.
const END: Duration = Duration::from_secs(3);
/// What the hand-over mark may take when the drain took all its time.
const MARK: Duration = Duration::from_secs(1);

/// What all parts share.
#[derive(Clone)]
pub(crate) struct Common {
    /// For counting.
    pub(crate) metrics: Arc<Metrics>,
    /// For tracing.
    pub(crate) spans: Spans,
    /// What is there.
    pub(crate) readiness: Readiness,
    /// Ends the engine.
    pub(crate) shutdown: CancellationToken,
    /// Ends everything else, after the engine, so that the last words still go out.
    pub(crate) rest: CancellationToken,
}

/// Where a clean end is told.
enum End {
    Seat(Seat),
    Mark(Mark),
}

/// The running parts, and how each ended.
pub(crate) struct Parts {
    common: Common,
    demands: watch::Sender<Option<Demand>>,
    audit: Auditor,
    /// Ends the audit; after everything that tells it something.
    audited: CancellationToken,
    /// For the broker.
    credentials: Option<Arc<ClientCredentials>>,
    running: JoinSet<(&'static str, Result<(), String>)>,
}

// === impl Parts ===

impl Parts {
    /// None yet.
    #[must_use]
    pub(crate) fn new(common: Common) -> Self {
        Self {
            audit: Auditor::default(),
            audited: common.rest.child_token(),
            common,
            demands: watch::Sender::new(None),
            credentials: None,
            running: JoinSet::new(),
        }
    }

    /// Serves workers and KEDA; `ears` are filled when this watcher leads.
    pub(crate) fn serve(&mut self, ports: Ports, prepared: &Prepared, ears: &Arc<OnceLock<Ears>>) {
        let Common { metrics, rest, .. } = self.common.clone();
        let allowed = prepared.allowed.subscribe();
        let service = Service::new(ears.clone(), allowed, metrics, rest.clone());
        self.add("the gRPC server", async {
            text(service.serve(ports.grpc).await)
        });
        if let Some(port) = ports.scaler {
            let scaler = Scaler::new(self.demands.subscribe(), rest);
            self.add("the scaler", async { text(scaler.serve(port).await) });
        }
        for credentials in ports.credentials {
            self.fresh(credentials);
        }
    }

    /// Looks after certificates.
    fn fresh<T: Send + Sync + 'static>(&mut self, credentials: Arc<Credentials<T>>) {
        let rest = self.common.rest.clone();
        self.add("the reader of certificates", async move {
            credentials.keep_fresh(rest).await;
            Ok(())
        });
    }

    /// Adds one.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.running.spawn(async move { (name, part.await) });
    }

    /// Adds what sends spans, and shows what becomes of them.
    pub(crate) fn export(&mut self, exporter: Exporter, registry: &mut Registry) {
        exporter.counts().register(registry);
        let exporting = exporter.run(self.common.rest.clone());
        self.add("the exporter of spans", async {
            exporting.await;
            Ok(())
        });
    }

    /// Adds the reader of a kubeconfig.
    pub(crate) fn keep(&mut self, access: Access) {
        let rest = self.common.rest.clone();
        self.add("the reader of a kubeconfig", async {
            access.keep(rest).await;
            Ok(())
        });
    }

    /// Waits until this watcher leads; none when it was told to stop before.
    pub(crate) async fn stand_by(
        &mut self,
        election: Election,
    ) -> Result<Option<(Won, Seat)>, WatcherError> {
        let won = tokio::select! {
            won = election.win() => won,
            () = self.common.shutdown.cancelled() => {
                election.withdraw().await;
                return Ok(None);
            }
            Some(ended) = self.running.join_next() => return Err(unexpected(ended)),
        };
        let (seat, left) = Seat::new();
        self.add("the election", async { text(election.keep(left).await) });
        Ok(Some((won, seat)))
    }

    /// Starts the engine and what feeds it from kcp, the broker and the files.
    pub(crate) fn start(
        &mut self,
        config: &WatcherConfig,
        file: Option<PathBuf>,
        prepared: Prepared,
        elected: Option<(Won, Seat)>,
    ) -> Ears {
        let Prepared {
            services,
            policy,
            allowed,
            credentials,
            collector: _used,
            keys,
            topology,
            clients,
        } = prepared;
        self.credentials.clone_from(&credentials);
        if let Some(credentials) = credentials {
            self.fresh(credentials);
        }
        let metrics = self.common.metrics.clone();
        announce(&policy.borrow(), &metrics);
        watching(config, &clients);
        self.auditor(config, &clients);
        let (inputs, from_inputs) = mpsc::channel(EVENTS);
        let (beats, from_beats) = mpsc::channel(BEATS);
        let (offers, from_offers) = mpsc::channel(OFFERS);
        let (news, from_news) = mpsc::channel(NEWS);
        let outputs = Outputs {
            clients: clients.clone(),
            offers,
            news,
            demands: self.demands.clone(),
            audit: self.audit.clone(),
            metrics,
            spans: self.common.spans.clone(),
        };
        let from = Inputs {
            beats: from_beats,
            inputs: from_inputs,
        };
        let mark = || Mark::new(&config.instance);
        let (before, end) = match elected {
            Some((won, seat)) => (Before::Elected(won, mark()), End::Seat(seat)),
            None => (Before::Mark(mark()), End::Mark(mark())),
        };
        self.engine(config, &services.borrow().clone(), (outputs, from), end);
        self.announcer(config, clients.clone(), from_news);
        let publishing = self.publisher(
            config,
            (topology.clone(), services.subscribe()),
            &inputs,
            from_offers,
        );
        self.dead_letters(config, topology, &inputs, publishing);
        let outlets = Outlets {
            services,
            policy,
            allowed,
        };
        self.reloader((config, keys), file, outlets, &inputs);
        self.follower(config, clients, &inputs, before);
        (inputs, beats)
    }

    fn engine(
        &mut self,
        config: &WatcherConfig,
        services: &Catalogue,
        (outputs, from): (Outputs, Inputs),
        end: End,
    ) {
        let start = Instant::now();
        let now = Now {
            mono: Duration::ZERO,
            wall: jiff::Timestamp::now(),
        };
        let (clients, audit) = (outputs.clients.clone(), outputs.audit.clone());
        let engine = Engine::new(config.engine(services), now);
        let task = EngineTask::new(engine, start, outputs);
        let drain = Duration::from_secs(config.drain_seconds);
        let running = task.run(from, self.common.shutdown.clone(), drain);
        self.add("the engine", async move {
            let drained = running.await;
            audit.stopped(drained.as_ref().is_ok_and(|drained| drained.clean));
            let drained = drained.map_err(|error| error.to_string())?;
            let left = drained.by.saturating_duration_since(Instant::now());
            match end {
                End::Seat(seat) => seat.leave(drained.clean, left.max(MARK)).await,
                End::Mark(mark) if drained.clean => {
                    if let Some(home) = clients.home().map_err(|error| error.to_string())? {
                        mark.leave(&home, left.max(MARK)).await;
                    }
                }
                End::Mark(_) => {}
            }
            Ok(())
        });
    }

    fn announcer(&mut self, config: &WatcherConfig, clients: Clients, news: mpsc::Receiver<News>) {
        let Common { metrics, rest, .. } = self.common.clone();
        let announcer = Announcer::new(clients, config.instance.clone(), news, metrics);
        self.add("the announcer", async {
            announcer.run(rest).await;
            Ok(())
        });
    }

    fn reloader(
        &mut self,
        (config, keys): (&WatcherConfig, Map<String, Value>),
        file: Option<PathBuf>,
        outlets: Outlets,
        inputs: &mpsc::Sender<Input>,
    ) {
        let Common { metrics, rest, .. } = self.common.clone();
        let sources = Sources {
            file,
            services: config.services_dir.clone(),
            policy: Arc::default(),
            plaintext: config.grpc.plaintext,
        };
        let outside = (inputs.clone(), self.audit.clone(), metrics);
        let reloader = Reloader::new(sources, (config, keys), outlets, outside);
        self.add("the reloader", async {
            reloader.run(rest).await;
            Ok(())
        });
    }

    fn follower(
        &mut self,
        config: &WatcherConfig,
        clients: Clients,
        inputs: &mpsc::Sender<Input>,
        before: Before,
    ) {
        let part = self.common.readiness.part("kcp");
        let shown = (part, self.common.metrics.clone());
        let follower = Follower::new(clients, config.kcp.clone(), inputs.clone(), shown);
        let following = follower.run(before, self.common.rest.clone());
        self.add("the endpoint follower", async { text(following.await) });
    }

    /// Ends what there is of a watcher that never led.
    pub(crate) async fn end(self) {
        self.common.rest.cancel();
        self.join().await;
        tracing::info!("ended");
    }

    async fn join(mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(END, all).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
    }

    /// Waits for the first part to end: on shutdown that is the engine, and the rest follows it.
    pub(crate) async fn supervise(mut self) -> Result<(), WatcherError> {
        let first = self.running.join_next().await;
        let ended = first.unwrap_or(Ok(("everything", Ok(()))));
        if !self.common.shutdown.is_cancelled() {
            self.last_lines().await;
            return Err(unexpected(ended));
        }
        let (part, result) = how(ended);
        self.common.rest.cancel();
        self.join().await;
        tracing::info!("ended");
        result.map_err(|why| WatcherError::Ended { part, why })
    }
}

fn watching(config: &WatcherConfig, clients: &Clients) {
    let kinds: Vec<_> = clients
        .kinds()
        .iter()
        .map(|kind| kind.id().to_string())
        .collect();
    tracing::info!(
        grpc = %config.grpc.listen, admin = %config.admin.listen, instance = config.instance,
        kinds = kinds.join(", "), "watching"
    );
}

/// How a part ended.
type Ended = Result<(&'static str, Result<(), String>), JoinError>;

fn how(ended: Ended) -> (&'static str, Result<(), String>) {
    ended.unwrap_or_else(|error| ("a part", Err(error.to_string())))
}

fn unexpected(ended: Ended) -> WatcherError {
    let (part, result) = how(ended);
    let why = result.err().unwrap_or_else(|| "it returned".into());
    WatcherError::Ended { part, why }
}

/// An end as a text.
pub(crate) fn text<E: std::fmt::Display>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}
