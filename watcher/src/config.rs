//! The watcher's configuration file, with its defaults and rules.

mod audit;
mod election;
mod flow;
mod kcp;
mod kinds;
mod policy;
mod ports;
mod select;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use isc_core::{
    engine::{self, Reconfigure},
    writes::Pace,
};
use isc_runtime::{
    amqp::AmqpConfig, config::ConfigError, services, telemetry::LogConfig, trace::TraceConfig,
};
use serde::Deserialize;

use crate::{kinds::Kinds, select::Select};

pub use audit::AuditConfig;
pub use election::ElectionConfig;
pub use flow::{PauseConfig, TenantsConfig};
pub use kcp::{KcpConfig, Mode};
pub use kinds::{KeyConfig, KindConfig, PickConfig, Profile, ServiceConfig};
pub use policy::PolicyConfig;
pub use ports::{AdminConfig, GrpcConfig, ScalerConfig, WorkerRule};
pub use select::{LabelOperator, LabelRule, LabelSelector, SelectConfig};

/// The keys that take effect while the watcher runs; the others do at the next start. A dot goes a level down.
pub(crate) const LIVE_KEYS: [&str; 5] =
    ["grpc.workers", "log.filter", "pause", "policy", "tenants"];

/// The whole configuration. Every key but `servicesDir` has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatcherConfig {
    /// The name of this ISC instance, a DNS label of at most 40 characters. Default `isc`.
    #[serde(default = "default_instance")]
    pub instance: String,
    /// The folder of the `<name>.yaml` files.
    pub services_dir: PathBuf,
    /// Where requests come from.
    #[serde(default)]
    pub kcp: KcpConfig,
    /// What is served besides `Request`.
    #[serde(default)]
    pub kinds: Vec<KindConfig>,
    /// The broker. `prefix` defaults to the instance's name.
    #[serde(default)]
    pub amqp: AmqpConfig,
    /// Where workers connect.
    #[serde(default)]
    pub grpc: GrpcConfig,
    /// Where KEDA asks how many workers there should be. Default: nowhere.
    pub scaler: Option<ScalerConfig>,
    /// Health and metrics.
    #[serde(default)]
    pub admin: AdminConfig,
    /// How eager status writes are.
    #[serde(default)]
    pub status: StatusConfig,
    /// How long a silent worker is believed to live.
    #[serde(default)]
    pub lease: LeaseConfig,
    /// Several watchers, of which one leads. Default: this one is alone.
    pub election: Option<ElectionConfig>,
    /// Who may ask for what. Takes effect while the watcher runs. Default: nobody.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// What is paused. Takes effect while the watcher runs.
    #[serde(default)]
    pub pause: PauseConfig,
    /// What one tenant may have. Takes effect while the watcher runs.
    #[serde(default)]
    pub tenants: TenantsConfig,
    /// Which requests this instance serves, where several share one API. Default: all that name no other
    /// instance. Where it is there, even as `{}`, the instance's name goes into `status.controller` of each
    /// request before anything of it is started.
    pub select: Option<SelectConfig>,
    /// Instances that are no more, whose requests this one takes over at its start. Default none.
    #[serde(default)]
    pub adopts: Vec<String>,
    /// A request for a service that is not configured waits for it until it is that old, and is rejected
    /// then, seconds. 0 rejects at once. Default 60.
    #[serde(default = "default_unknown_service")]
    pub unknown_service_seconds: u64,
    /// Unclaimed tickets per service in the broker, when the workers offer fewer slots for it. Default 4.
    #[serde(default = "default_window")]
    pub window: usize,
    /// So many attempts lost with their workers are tried again; the next loss fails the request.
    /// Default 3.
    #[serde(default = "default_lost_max")]
    pub lost_max: u32,
    /// The longest time that the last writes may take at the end, seconds. Default 15.
    #[serde(default = "default_drain")]
    pub drain_seconds: u64,
    /// Where every decision is told as one JSON line. Default: nowhere.
    pub audit: Option<AuditConfig>,
    /// Logging.
    #[serde(default)]
    pub log: LogConfig,
    /// Where spans are sent. Default: nowhere.
    pub tracing: Option<TraceConfig>,
}

/// The `status` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StatusConfig {
    /// A live state is written that long after it changed, so that a short request costs one write,
    /// milliseconds. Default 750.
    pub first_write_delay_ms: u64,
    /// The least time between two writes of one live request, milliseconds. Default 2000.
    pub min_interval_ms: u64,
    /// Writes at once, per endpoint and kind. Default 16: more make kcp no faster.
    pub parallel_writes: usize,
}

/// The `lease` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaseConfig {
    /// The worker's lease, seconds. Default 30.
    pub seconds: u64,
    /// How often a worker says that it lives, seconds. Default 10.
    pub heartbeat_seconds: u64,
}

/// No claim is granted while more ends than this wait for their write: an API server that is away costs
/// waiting, not memory.
const BACKLOG_MAX: usize = 4096;

/// The longest `unknownServiceSeconds`.
const UNKNOWN_SERVICE_MAX: u64 = 7 * 24 * 3600;

fn default_instance() -> String {
    "isc".into()
}

fn default_window() -> usize {
    4
}

fn default_unknown_service() -> u64 {
    60
}

fn default_lost_max() -> u32 {
    3
}

fn default_drain() -> u64 {
    15
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self {
            first_write_delay_ms: 750,
            min_interval_ms: 2000,
            parallel_writes: 16,
        }
    }
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self {
            seconds: 30,
            heartbeat_seconds: 10,
        }
    }
}

// === impl WatcherConfig ===

impl WatcherConfig {
    /// Checks the rules that types cannot express.
    ///
    /// # Errors
    /// The first broken rule, with its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rule = |text: &str| Err(ConfigError::Rule(text.into()));
        if !services::is_dns_label(&self.instance) || self.instance.len() > 40 {
            return rule(
                "`instance` must be a DNS label (a-z, 0-9 and -) of at most 40 characters",
            );
        }
        if self.lease.heartbeat_seconds == 0
            || self.lease.seconds < 2 * self.lease.heartbeat_seconds
        {
            return rule(
                "`lease.seconds` must be at least twice `lease.heartbeatSeconds`, which must be at least 1",
            );
        }
        if self.status.parallel_writes == 0 {
            return rule("`status.parallelWrites` must be at least 1");
        }
        if self.unknown_service_seconds > UNKNOWN_SERVICE_MAX {
            return rule("`unknownServiceSeconds` must be at most 604800, a week");
        }
        if self.window == 0 {
            return rule("`window` must be at least 1");
        }
        if let Some(election) = &self.election {
            election.check(&self.lease)?;
        }
        if let Some(audit) = &self.audit {
            audit.check()?;
        }
        self.grpc.check()?;
        if let Some(scaler) = &self.scaler {
            scaler.check()?;
        }
        Kinds::new(&self.kinds)?;
        self.kcp.check()?;
        Select::new(self)?;
        self.pause.check()?;
        self.tenants.check()?;
        self.tracing.as_ref().map_or(Ok(()), TraceConfig::check)
    }

    /// What the engine needs of it.
    #[must_use]
    pub fn engine(&self, catalogue: &services::Catalogue) -> engine::Config {
        engine::Config {
            instance: self.instance.as_str().into(),
            lease: Duration::from_secs(self.lease.seconds),
            heartbeat: Duration::from_secs(self.lease.heartbeat_seconds),
            window: self.window,
            lost_max: self.lost_max,
            pace: Pace {
                first_delay: Duration::from_millis(self.status.first_write_delay_ms),
                min_interval: Duration::from_millis(self.status.min_interval_ms),
                parallel: self.status.parallel_writes,
            },
            suspect: Duration::from_secs(self.kcp.suspect_seconds),
            backlog_max: BACKLOG_MAX,
            catalogue: flow::limits(catalogue),
            tenants: self.tenants.tenants(),
            pause: self.pause.pause(),
            claims: self.select.is_some() || !self.adopts.is_empty(),
            adopts: self
                .adopts
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            unknown_service: Duration::from_secs(self.unknown_service_seconds),
            audit: self.audit.is_some(),
        }
    }

    /// This one, with what takes effect while a watcher runs taken from another: [`LIVE_KEYS`].
    #[must_use]
    pub(crate) fn with_live_keys_of(&self, other: Self) -> Self {
        Self {
            grpc: GrpcConfig {
                workers: if other.grpc.plaintext == self.grpc.plaintext {
                    other.grpc.workers
                } else {
                    self.grpc.workers.clone()
                },
                ..self.grpc.clone()
            },
            pause: other.pause,
            policy: other.policy,
            tenants: other.tenants,
            ..self.clone()
        }
    }

    /// What a running engine takes of it.
    #[must_use]
    pub(crate) fn reconfigure(&self, catalogue: &services::Catalogue) -> Reconfigure {
        Reconfigure {
            catalogue: flow::limits(catalogue),
            tenants: self.tenants.tenants(),
            pause: self.pause.pause(),
        }
    }
}
