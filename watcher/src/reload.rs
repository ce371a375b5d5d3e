//! Reloads service files, the policy and the configuration while the watcher runs. What cannot be read is told, and
//! the last good state stays.

mod files;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use isc_core::engine::{Event, Reconfigure};
use isc_runtime::{
    config,
    files::{FileWatch, folders_of, may_be},
    nag::Nag,
    services::Catalogue,
};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    WatcherError, announce,
    audit::Auditor,
    config::{LIVE_KEYS, WatcherConfig},
    engine::Input,
    grpc::Allowed,
    metrics::Metrics,
    policy::Policy,
};
use files::Files;

/// Where things are read from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The configuration file, when there is one.
    pub(crate) file: Option<PathBuf>,
    /// The folder of the service files, as it was at the start.
    pub(crate) services: PathBuf,
    /// The file of the policy, when it has one of its own, as the newest configuration names it.
    pub(crate) policy: Arc<Mutex<Option<PathBuf>>>,
    /// Whether workers need no certificates at the port as it was opened.
    pub(crate) plaintext: bool,
}

/// Where what was read goes, besides the engine.
pub(crate) struct Outlets {
    /// The services.
    pub(crate) services: watch::Sender<Arc<Catalogue>>,
    /// The policy.
    pub(crate) policy: watch::Sender<Arc<Policy>>,
    /// Which workers may run which services.
    pub(crate) allowed: watch::Sender<Arc<Allowed>>,
}

/// What was read.
#[derive(Clone)]
struct Loaded {
    /// All keys of the configuration.
    keys: Map<String, Value>,
    catalogue: Arc<Catalogue>,
    policy: Arc<Policy>,
    /// None where the port would be of the other kind, which takes another start.
    allowed: Option<Arc<Allowed>>,
    live: Reconfigure,
}

/// Watches the files.
pub(crate) struct Reloader {
    sources: Sources,
    known: Loaded,
    outlets: Outlets,
    inputs: mpsc::Sender<Input>,
    metrics: Arc<Metrics>,
    files: Files,
    nag: Nag,
}

// === impl Sources ===

impl Sources {
    fn load(&self) -> Result<Loaded, WatcherError> {
        let file = self.file.as_deref();
        let config: WatcherConfig = config::load(file)?;
        config.check()?;
        // Before it is read: where it has a mistake, its repair must be seen.
        *self.policy() = config.policy.path(file);
        let policy = config.policy.load(file)?;
        let catalogue = Catalogue::load(&self.services)?;
        Ok(Loaded {
            keys: config::load(file)?,
            live: config.reconfigure(&catalogue),
            catalogue: Arc::new(catalogue),
            policy: Arc::new(policy),
            allowed: (config.grpc.plaintext == self.plaintext)
                .then(|| Allowed::new(&config.grpc))
                .transpose()?
                .map(Arc::new),
        })
    }

    fn policy(&self) -> std::sync::MutexGuard<'_, Option<PathBuf>> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folders in which something tells of a change.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let policy = self.policy().clone().map(absolute);
        let files = self.file.clone().into_iter().chain(policy);
        files
            .flat_map(|file| folders_of(&file))
            .chain([self.services.clone(), parent(&self.services)])
            .collect()
    }

    /// Whether a change of that path can matter.
    fn concerns(&self, path: &Path) -> bool {
        if path.starts_with(&self.services) {
            return true;
        }
        let is_read = |file: &PathBuf| may_be(path, file);
        // Where no file is named, the folder of the services may still be exchanged.
        may_be(path, &self.services)
            || self.file.as_ref().is_some_and(is_read)
            || self.policy().as_ref().is_some_and(is_read)
    }
}

// === impl Reloader ===

impl Reloader {
    /// A reloader of what `config`, with all its `keys`, and what the outlets have were read from.
    #[must_use]
    pub(crate) fn new(
        sources: Sources,
        (config, keys): (&WatcherConfig, Map<String, Value>),
        outlets: Outlets,
        (inputs, audit, metrics): (mpsc::Sender<Input>, Auditor, Arc<Metrics>),
    ) -> Self {
        let sources = Sources {
            file: sources.file.map(absolute),
            services: absolute(sources.services),
            policy: sources.policy,
            plaintext: sources.plaintext,
        };
        *sources.policy() = config.policy.path(sources.file.as_deref());
        let catalogue = outlets.services.borrow().clone();
        let policy = outlets.policy.borrow().clone();
        let allowed = outlets.allowed.borrow().clone();
        let known = Loaded {
            keys,
            live: config.reconfigure(&catalogue),
            catalogue,
            policy,
            allowed: Some(allowed),
        };
        Self {
            sources,
            known,
            outlets,
            inputs,
            metrics,
            files: Files::new(audit),
            nag: Nag::new("a usable configuration"),
        }
    }

    /// Runs until cancelled.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.watch()).await.is_some() {
            // Without a watch there is nothing to do, which is no reason to end the process.
            stop.cancelled().await;
        }
    }

    async fn watch(&mut self) {
        let sources = self.sources.clone();
        let mut watch = match FileWatch::new(move |path| sources.concerns(path)) {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!(
                    "files cannot be watched: {error}; changes take effect at the next start"
                );
                return;
            }
        };
        // What changed between the start and now.
        loop {
            self.refresh(&mut watch).await;
            watch.changed().await;
        }
    }

    /// Reads everything, with an eye on it first: a folder that was replaced is another one, and what is
    /// read may name a file in yet another.
    async fn refresh(&mut self, watch: &mut FileWatch) {
        loop {
            let folders = self.sources.folders();
            watch.arm(&folders, &mut self.nag);
            self.reload().await;
            if self.sources.folders() == folders {
                return;
            }
        }
    }

    async fn reload(&mut self) {
        let sources = self.sources.clone();
        let reads = self.files.are_audited();
        let loading = tokio::task::spawn_blocking(move || {
            if reads {
                let (loaded, digests) = files::load(&sources);
                return (loaded, Some(digests));
            }
            (sources.load(), None)
        });
        match loading.await {
            Ok((Ok(loaded), read)) => {
                self.files.tell(read, true);
                self.take(loaded).await;
            }
            Ok((Err(error), read)) => {
                self.files.tell(read, false);
                self.metrics.reload("failed");
                self.metrics.stale("configuration", true);
                self.nag
                    .trouble(&format!("{error}; the last good one stays in force"));
            }
            Err(error) => tracing::error!("the reload failed inside: {error}"),
        }
    }

    async fn take(&mut self, mut loaded: Loaded) {
        loaded.allowed = loaded.allowed.or_else(|| self.known.allowed.clone());
        self.nag.well();
        self.metrics.stale("configuration", false);
        let later = later_keys(&self.known.keys, &loaded.keys);
        if !later.is_empty() {
            tracing::warn!(
                "changed, and takes effect at the next start: {}",
                later.join(", ")
            );
        }
        let before = std::mem::replace(&mut self.known, loaded);
        let changes = changes(&before, &self.known);
        if changes.is_empty() {
            return;
        }
        tracing::info!("reloaded: {}", changes.join(", "));
        self.metrics.reload("ok");
        if before.policy != self.known.policy {
            announce(&self.known.policy, &self.metrics);
            self.outlets.policy.send_replace(self.known.policy.clone());
        }
        if before.allowed != self.known.allowed
            && let Some(allowed) = &self.known.allowed
        {
            self.outlets.allowed.send_replace(allowed.clone());
        }
        let event = Event::Reconfigured(Box::new(self.known.live.clone()));
        // Fails when nobody listens. The engine first: then it knows the services of what it is told.
        let _ended = self.inputs.send(Input::Event(event)).await;
        self.outlets
            .services
            .send_replace(self.known.catalogue.clone());
    }
}

/// What is different for a running watcher.
fn changes(before: &Loaded, now: &Loaded) -> Vec<String> {
    let (old, new) = (&before.live.catalogue, &now.live.catalogue);
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let own = |loaded: &Loaded, name: &str| {
        let service = loaded.catalogue.get(name)?;
        Some((service.key.clone(), service.params.clone()))
    };
    let mut changes: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (old.get(name), new.get(name)) {
            (None, Some(_)) => Some(format!("{name} (new)")),
            (Some(_), None) => Some(format!("{name} (gone: its requests wait)")),
            (before_limits, limits) => (before_limits != limits
                || own(before, name) != own(now, name))
            .then(|| name.to_string()),
        })
        .collect();
    if before.live.pause != now.live.pause {
        changes.push("`pause`".into());
    }
    if before.policy != now.policy {
        changes.push("`policy`: for requests that are new from now on".into());
    }
    if before.allowed != now.allowed {
        changes.push("`grpc.workers`: for workers that are connected too".into());
    }
    if before.live.tenants != now.live.tenants {
        changes.push("`tenants`".into());
    }
    changes
}

/// Keys whose change needs another start.
fn later_keys(before: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let (before, now) = (without_live(before), without_live(now));
    let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .map(|name| format!("`{name}`"))
        .collect()
}

fn without_live(keys: &Map<String, Value>) -> Map<String, Value> {
    let mut keys = keys.clone();
    for live in LIVE_KEYS {
        let Some((section, key)) = live.split_once('.') else {
            keys.remove(live);
            continue;
        };
        if let Some(Value::Object(inner)) = keys.get_mut(section) {
            inner.remove(key);
            // A section that says nothing else is as good as none.
            if inner.is_empty() {
                keys.remove(section);
            }
        }
    }
    keys
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests;
