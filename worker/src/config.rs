//! The worker's configuration: `worker.yaml`, then `ISC_*` variables.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use isc_core::text;
use isc_proto::SLOTS_MAX;
use isc_runtime::{
    amqp::{AmqpConfig, AmqpError, Topology},
    services::{Catalogue, CatalogueError, Service},
    telemetry::{FilterError, LogConfig},
    tls::{CertificateMetrics, ClientCredentials, ClientTlsConfig},
    trace::{Collector, TraceConfig, TraceError},
};
use serde::Deserialize;

use crate::{
    handler::Handlers,
    session::{Watcher, WatcherError},
};

const NAME_MAX: usize = 253;

/// The content of `worker.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkerConfig {
    /// Unique among the workers of the instance. Default: the host's name.
    #[serde(default = "host_name")]
    pub name: String,
    /// The watcher's gRPC address, or those of several with commas between them; all addresses of the
    /// names are tried. `https://` needs `watcherTls`. Default `https://isc-watcher:7443`.
    #[serde(default = "default_watcher")]
    pub watcher: String,
    /// Whom to trust at an `https://` address of the watcher, and this worker's own certificate.
    pub watcher_tls: Option<ClientTlsConfig>,
    /// The folder of the `<name>.yaml` files.
    pub services_dir: PathBuf,
    /// Which services this worker runs; empty = all in the folder.
    #[serde(default)]
    pub services: Vec<String>,
    /// How many jobs run at once.
    #[serde(default = "default_slots")]
    pub slots: u32,
    /// Where the jobs' directories are made. Default: the system's folder for temporary files.
    pub work_dir: Option<PathBuf>,
    /// The broker.
    #[serde(default)]
    pub amqp: AmqpConfig,
    /// `/livez`, `/readyz`, `/metrics`.
    #[serde(default)]
    pub admin: AdminConfig,
    /// How long the ticket of a running job is held at the broker.
    #[serde(default = "default_hold")]
    pub claim_hold_seconds: u64,
    /// How long jobs may go on after SIGTERM.
    #[serde(default = "default_drain")]
    pub drain_seconds: u64,
    /// Logs.
    #[serde(default)]
    pub log: LogConfig,
    /// Where spans are sent. Default: nowhere.
    pub tracing: Option<TraceConfig>,
}

/// The `admin` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address and port.
    pub listen: SocketAddr,
}

/// A configuration whose parts fit together.
#[derive(Clone, Debug)]
pub struct Checked {
    /// As it was written.
    pub config: WorkerConfig,
    /// The services that this worker runs.
    pub services: Vec<Service>,
    /// What runs those of them that are code of this program.
    pub(crate) handlers: Handlers,
    /// The names at the broker.
    pub topology: Topology,
    /// Where the watcher is.
    pub(crate) watcher: Watcher,
    /// What encrypted connections to the broker use.
    pub(crate) credentials: Option<Arc<ClientCredentials>>,
    /// When certificates end.
    pub(crate) certificates: CertificateMetrics,
    /// Where spans are sent.
    pub(crate) collector: Option<Collector>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A value breaks a rule.
    #[error("the configuration is wrong: {0}")]
    Rule(String),
    /// The services cannot be read.
    #[error(transparent)]
    Services(#[from] CatalogueError),
    /// The broker's section is wrong.
    #[error(transparent)]
    Amqp(#[from] AmqpError),
    /// The section for traces is wrong.
    #[error(transparent)]
    Tracing(#[from] TraceError),
    /// The log's filter is wrong.
    #[error(transparent)]
    Log(#[from] FilterError),
    /// The watcher's address is wrong.
    #[error(transparent)]
    Watcher(#[from] WatcherError),
}

fn default_watcher() -> String {
    "https://isc-watcher:7443".into()
}

fn default_slots() -> u32 {
    4
}

fn default_hold() -> u64 {
    20
}

fn default_drain() -> u64 {
    30
}

/// Empty when it cannot be found out, which the check refuses.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

// === impl AdminConfig ===

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8081)),
        }
    }
}

// === impl WorkerConfig ===

impl WorkerConfig {
    /// Checks what a type cannot say, reads the services and finds their handlers.
    ///
    /// # Errors
    /// The first thing that is wrong, by name and with the remedy.
    pub fn check(self, handlers: Handlers) -> Result<Checked, CheckError> {
        let rule = |message: String| Err(CheckError::Rule(message));
        if self.name.is_empty() || self.name.len() > NAME_MAX || !text::is_plain(&self.name) {
            return rule(format!(
                "`name` must have 1 to {NAME_MAX} characters and be unique among the workers; it is `{}`",
                self.name
            ));
        }
        if self.slots == 0 || self.slots > SLOTS_MAX {
            return rule(format!(
                "`slots` must be 1 to {SLOTS_MAX}; it is {}",
                self.slots
            ));
        }
        if let Some(dir) = &self.work_dir
            && !dir.is_dir()
        {
            return rule(format!(
                "`workDir` {} is not a folder: create it or leave the key out",
                dir.display()
            ));
        }
        let services = self.chosen(&Catalogue::load(&self.services_dir)?)?;
        handlers
            .check(&services, !self.services.is_empty())
            .map_err(CheckError::Rule)?;
        let topology = self.amqp.topology("isc")?;
        self.amqp.addresses()?;
        self.log.check()?;
        let certificates = CertificateMetrics::default();
        let credentials = self.amqp.credentials(&certificates)?;
        let watcher = Watcher::new(&self.watcher, self.watcher_tls.as_ref(), &certificates)?;
        let tracing = self.tracing.as_ref();
        let collector = tracing.map(|to| to.collector(&certificates)).transpose()?;
        Ok(Checked {
            config: self,
            services,
            handlers,
            topology,
            watcher,
            credentials,
            certificates,
            collector,
        })
    }

    fn chosen(&self, catalogue: &Catalogue) -> Result<Vec<Service>, CheckError> {
        if self.services.is_empty() {
            return Ok(catalogue.iter().cloned().collect());
        }
        let find = |name: &String| {
            catalogue.get(name).cloned().ok_or_else(|| {
                CheckError::Rule(format!(
                    "`services` names `{name}`, but there is no {}/{name}.yaml",
                    self.services_dir.display()
                ))
            })
        };
        let mut services: Vec<_> = self.services.iter().map(find).collect::<Result<_, _>>()?;
        services.sort_by(|a, b| a.name.cmp(&b.name));
        services.dedup_by(|a, b| a.name == b.name);
        Ok(services)
    }

    /// The length of the hold on a running job's ticket.
    #[must_use]
    pub fn claim_hold(&self) -> Duration {
        Duration::from_secs(self.claim_hold_seconds)
    }

    /// The time to finish after SIGTERM.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn check(extra: &str) -> Result<Checked, String> {
        let dir = tempfile::tempdir().unwrap();
        for name in ["sign", "publish"] {
            let path = dir.path().join(format!("{name}.yaml"));
            std::fs::write(path, "exec: {command: [/bin/true]}").unwrap();
        }
        let file = dir.path().join("worker.conf");
        let watcher = if extra.contains("watcher: ") {
            ""
        } else {
            "watcher: http://w:7443"
        };
        let text = format!("servicesDir: {}\n{watcher}\n{extra}", dir.path().display());
        std::fs::write(&file, text).unwrap();
        let config: WorkerConfig = isc_runtime::config::load_from(Some(&file), HashMap::new())
            .map_err(|error| error.to_string())?;
        config
            .check(Handlers::new())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_services_folder_is_all_that_is_required() {
        let checked = check("").unwrap();
        assert_eq!(checked.services.len(), 2);
        assert_eq!(checked.config.slots, 4);
        assert!(!checked.config.name.is_empty());
        assert_eq!(checked.topology.queue("sign"), "isc.requests.sign");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_remedy() {
        let cases = [
            ("slots: 0", "`slots` must be 1 to"),
            ("name: ''", "`name` must have"),
            ("workDir: /nowhere", "`workDir` /nowhere is not a folder"),
            ("services: [sing]", "`services` names `sing`"),
            ("watcher: 'https://w:7443'", "`watcherTls` is missing"),
            ("watcher: 'https://w:7443, http://w:7443'", "all https://"),
            ("watcherTls: {caFile: x}", "write https://"),
            (
                "watcher: 'https://w:7443'\nwatcherTls: {}",
                "`watcherTls.caFile` is missing",
            ),
            (
                "watcher: 'https://w:7443'\nwatcherTls: {caFile: /nowhere/ca}",
                "cannot read `watcherTls.caFile` /nowhere/ca",
            ),
            ("watcher: 'w:7443'", "`watcher`"),
            ("watcher: 'http://w:7443,'", "`watcher`"),
            ("amqp: {url: 'http://x'}", "amqp.url"),
            ("amqp: {prefix: 'a b'}", "amqp.prefix"),
            ("colour: red", "colour"),
            ("log: {filter: 'isc_worker=loud'}", "isc_worker=loud"),
            ("tracing: {sampleRatio: 2}", "tracing.sampleRatio"),
            (
                "tracing: {endpoint: 'https://otel:4317', tls: {caFile: /nowhere/ca}}",
                "cannot read `tracing.tls.caFile` /nowhere/ca",
            ),
        ];
        for (text, wanted) in cases {
            let error = check(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn named_services_are_chosen_once() {
        let checked = check("services: [sign, sign]").unwrap();
        let names: Vec<_> = checked.services.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["sign"]);
    }
}
