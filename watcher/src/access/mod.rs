//! The way to an API server, as a kubeconfig says it now.
//!
//! The files are read again every few seconds, and at once when a server does not know the user any more. They
//! are not watched: a file on a network's disk, or one that a link in a link leads to, changes without a word.
//! Whoever has a client of an [`Access`] has one of its newest state; a watch that runs goes on as it began.

mod file;
mod line;
mod proxy;
mod stack;

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http::Uri;
use isc_runtime::nag::Nag;
use kube::{Client, Config};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use file::{Found, Source};
pub use file::{Origin, ReadError};
pub(crate) use line::Renewed;
use line::{Line, State};
use proxy::Proxy;
pub use proxy::ProxyError;

/// Connecting may take so long, through a proxy too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are read.
const PERIOD: Duration = Duration::from_secs(5);
/// What was read is taken when it is the same after that long: files are written in several steps.
const QUIET: Duration = Duration::from_millis(200);
/// So often is tried to see the same twice.
const LOOKS: usize = 3;
/// Reading them may take so long, and making a client of them.
const LIMIT: Duration = Duration::from_secs(10);
/// However many calls are turned away, the files are not read again before that long.
const PAUSE: Duration = Duration::from_secs(1);

/// Why there is no connection configuration.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The variable is not set.
    #[error(
        "KUBECONFIG is not set: point it at a kubeconfig whose server is the provider workspace, \
         as in https://kcp.example.com/clusters/root:org:provider (or a virtual workspace, or a plain cluster)"
    )]
    NotSet,
    /// The file cannot be used.
    #[error("the kubeconfig {path} cannot be used: {source}")]
    Unusable {
        /// What KUBECONFIG says.
        path: String,
        /// The cause.
        source: ReadError,
    },
    /// The proxy that the environment names cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// The way to an API server. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    /// Named by the environment.
    proxy: Option<Proxy>,
    origin: Origin,
    now: RwLock<Arc<State>>,
    reading: tokio::sync::Mutex<Reading>,
    metrics: Arc<Metrics>,
}

struct Reading {
    /// When it began or ended, if there was one.
    at: Option<Instant>,
    /// One that the disk has not answered yet: there is never another beside it.
    pending: Option<JoinHandle<Result<Option<Found>, ReadError>>>,
    /// What was wrong, when something was.
    wrong: Option<String>,
    nag: Nag,
}

// === impl Access ===

impl Access {
    /// What KUBECONFIG names, by the proxy that it or the environment names.
    ///
    /// # Errors
    /// See [`KubeconfigError`].
    pub(crate) fn named(metrics: Arc<Metrics>) -> Result<Self, KubeconfigError> {
        let path = std::env::var("KUBECONFIG").unwrap_or_default();
        let proxy = Proxy::from_env(|name| std::env::var(name).ok())?;
        let found = if path.is_empty() {
            Ok(None)
        } else {
            Source::Named.read()
        };
        let found = found.transpose().ok_or(KubeconfigError::NotSet)?;
        let access = found.and_then(|found| Self::new(Source::Named, found, proxy, metrics));
        let access = access.map_err(|source| KubeconfigError::Unusable { path, source })?;
        let state = access.state();
        if let Some(proxy) = &state.proxy
            && let Some(way) = proxy.way_to(&state.config.cluster_url)
        {
            let (way, from) = (way.uri(), proxy.named_by());
            tracing::info!(%way, "kcp is reached through a proxy, as {from} says");
        }
        Ok(access)
    }

    /// That file, of a server in the private network: no proxy of the environment leads there.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn private(path: PathBuf, metrics: Arc<Metrics>) -> Result<Self, ReadError> {
        let source = Source::File(path);
        let found = source.read()?.expect("a file is always read");
        Self::new(source, found, None, metrics)
    }

    /// A configuration that is never read again; kube reads the files that it names.
    pub(crate) fn fixed(config: Config, metrics: Arc<Metrics>) -> Self {
        Self::of(Source::Fixed, Found::fixed(config), None, metrics)
    }

    fn new(
        source: Source,
        found: Found,
        proxy: Option<Proxy>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ReadError> {
        let access = Self::of(source, found, proxy, metrics);
        access.state().check()?;
        Ok(access)
    }

    fn of(source: Source, found: Found, proxy: Option<Proxy>, metrics: Arc<Metrics>) -> Self {
        let (origin, not_after) = (found.origin.clone(), found.not_after);
        let reading = Reading {
            at: None,
            pending: None,
            wrong: None,
            nag: Nag::new(source.what()),
        };
        let state = State::new(0, found, proxy.as_ref());
        let inner = Inner {
            source,
            proxy,
            origin,
            now: RwLock::new(Arc::new(state)),
            reading: tokio::sync::Mutex::new(reading),
            metrics,
        };
        let access = Self {
            inner: Arc::new(inner),
        };
        access.tell_end(not_after);
        access
    }

    /// When the user's certificate ends.
    fn tell_end(&self, not_after: Option<i64>) {
        if let Some(r#use) = self.inner.source.r#use() {
            self.inner.metrics.certificates.ends(r#use, not_after);
        }
    }

    /// The address of the server that it names.
    pub(crate) fn url(&self) -> Uri {
        self.state().config.cluster_url.clone()
    }

    /// The namespace that it names, or `default`.
    pub(crate) fn namespace(&self) -> String {
        self.state().config.default_namespace.clone()
    }

    /// A client of the server with that address, with the credentials of whatever is in force when it is used.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    pub(crate) fn client(&self, url: Uri) -> Result<Client, kube::Error> {
        let line = Arc::new(Line::new(self.clone(), url)?);
        let service = tower::service_fn(move |request| {
            let line = line.clone();
            async move { line.send(request).await.map_err(tower::BoxError::from) }
        });
        Ok(Client::new(service, self.namespace()))
    }

    /// Reads the files again and again, until cancelled.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        if self.inner.source == Source::Fixed {
            return stop.cancelled().await;
        }
        let keep = async {
            loop {
                tokio::time::sleep(PERIOD).await;
                let mut reading = self.inner.reading.lock().await;
                self.read(&mut reading).await;
            }
        };
        stop.run_until_cancelled(keep).await;
    }

    fn state(&self) -> Arc<State> {
        let now = self.inner.now.read();
        now.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, state: Arc<State>) {
        let now = self.inner.now.write();
        *now.unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// A server does not know the user of that state: reads the files, but not for each of many such answers.
    /// Returns whether another state is in force.
    async fn refused(&self, number: u64) -> bool {
        let mut reading = self.inner.reading.lock().await;
        let is_old = |at: Instant| at.elapsed() >= PAUSE;
        if self.state().number == number && reading.at.is_none_or(is_old) {
            self.read(&mut reading).await;
            let state = self.state();
            if state.number == number && state.asks_a_program() {
                // It may say something else by now, without a file having changed.
                self.put(Arc::new(state.again()));
            }
        }
        self.state().number != number
    }

    async fn read(&self, reading: &mut Reading) {
        // Whoever began it may not wait for its end.
        reading.at = Some(Instant::now());
        let taken = match self.look(reading).await {
            Ok(Some(found)) => self.take(found).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        reading.at = Some(Instant::now());
        let what = self.inner.source.what();
        self.inner.metrics.stale(what, taken.is_err());
        let Err(error) = taken else {
            reading.wrong = None;
            return reading.nag.well();
        };
        let why = format!("{error}; the last good one stays in force");
        reading.nag.trouble(&why);
        if reading.wrong.as_ref() != Some(&why) {
            self.inner.metrics.reload("failed");
            reading.wrong = Some(why);
        }
    }

    /// What is new in the files. What is still being written is looked at the next time.
    async fn look(&self, reading: &mut Reading) -> Result<Option<Found>, ReadError> {
        let known = self.state().print.clone();
        for _ in 0..LOOKS {
            let Some(first) = self.load(reading).await.transpose() else {
                return Ok(None);
            };
            if first.as_ref().is_ok_and(|found| found.print == known) {
                return Ok(None);
            }
            tokio::time::sleep(QUIET).await;
            match (first, self.load(reading).await?) {
                (Ok(first), Some(second)) if first.print == second.print => {
                    return Ok(Some(second));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    async fn load(&self, reading: &mut Reading) -> Result<Option<Found>, ReadError> {
        let pending = reading.pending.get_or_insert_with(|| {
            let source = self.inner.source.clone();
            tokio::task::spawn_blocking(move || source.read())
        });
        let Ok(read) = tokio::time::timeout(LIMIT, pending).await else {
            return Err(ReadError::Unread(format!(
                "no answer from the disk within {} s",
                LIMIT.as_secs()
            )));
        };
        reading.pending = None;
        read.map_err(|error| ReadError::Unread(error.to_string()))?
    }

    async fn take(&self, found: Found) -> Result<(), ReadError> {
        if found.origin != self.inner.origin {
            return Err(ReadError::Elsewhere {
                before: Box::new(self.inner.origin.clone()),
                now: Box::new(found.origin),
            });
        }
        let number = self.state().number + 1;
        let not_after = found.not_after;
        let state = Arc::new(State::new(number, found, self.inner.proxy.as_ref()));
        let url = state.config.cluster_url.clone();
        let made = state.clone().client_aside(url).await;
        made.map_err(|error| ReadError::Client(error.to_string()))?;
        self.tell_end(not_after);
        self.put(state);
        let what = self.inner.source.what();
        self.inner.metrics.reload("ok");
        tracing::info!("reloaded: {what}; what it says counts for every new connection");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
