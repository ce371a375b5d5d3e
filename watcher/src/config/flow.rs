//! What may run and wait, as the configuration and the service files say it: the part that can change
//! while the watcher runs.

use std::{sync::Arc, time::Duration};

use isc_core::{
    admit::{Catalogue, ClockLimits, ResultCheck, ServiceLimits},
    flow::{Flow, Pause, Rate, Tenants},
};
use isc_runtime::{
    config::ConfigError,
    services::{self, is_dns_label},
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The `pause` section: running jobs finish, nothing new starts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PauseConfig {
    /// Everything. Default false.
    pub all: bool,
    /// These services. Default none.
    pub services: Vec<String>,
    /// The requests of these tenants: names of logical clusters. Default none.
    pub tenants: Vec<String>,
}

/// The `tenants` section: what one tenant may have over all services.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TenantsConfig {
    /// Requests that are offered to workers or with one. Default: no limit.
    pub in_flight: Option<u32>,
    /// Requests that wait; more are rejected. Default 20000.
    pub waiting: u32,
    /// The parameters of those that wait, bytes; more are rejected. Default 1 GiB.
    pub waiting_bytes: u64,
}

impl Default for TenantsConfig {
    fn default() -> Self {
        let Tenants {
            in_flight,
            waiting,
            waiting_bytes,
        } = Tenants::default();
        Self {
            in_flight,
            waiting,
            waiting_bytes,
        }
    }
}

// === impl PauseConfig ===

impl PauseConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let named = [
            ("pause.services", &self.services),
            ("pause.tenants", &self.tenants),
        ];
        for (key, names) in named {
            if let Some(odd) = names.iter().find(|name| !is_dns_label(name)) {
                return Err(ConfigError::Rule(format!(
                    "`{key}` names `{odd}`, which is no name: use a-z, 0-9 and - (a tenant is the name of a \
                     logical cluster, as in a workspace's spec.cluster, not its path)"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn pause(&self) -> Pause {
        let set = |names: &[String]| names.iter().map(|name| Arc::from(name.as_str())).collect();
        Pause {
            all: self.all,
            services: set(&self.services),
            tenants: set(&self.tenants),
        }
    }
}

// === impl TenantsConfig ===

impl TenantsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rule = |text: &str| Err(ConfigError::Rule(text.into()));
        if self.in_flight == Some(0) {
            return rule(
                "`tenants.inFlight` must be at least 1; `pause.all: true` lets nothing start",
            );
        }
        if self.waiting == 0 {
            return rule("`tenants.waiting` must be at least 1, or every request is rejected");
        }
        if self.waiting_bytes == 0 {
            return rule("`tenants.waitingBytes` must be at least 1, or every request is rejected");
        }
        Ok(())
    }

    pub(super) fn tenants(&self) -> Tenants {
        Tenants {
            in_flight: self.in_flight,
            waiting: self.waiting,
            waiting_bytes: self.waiting_bytes,
        }
    }
}

/// What the engine needs of the service files.
pub(super) fn limits(catalogue: &services::Catalogue) -> Catalogue {
    catalogue
        .iter()
        .map(|service| (Arc::from(service.name.as_str()), of_service(service)))
        .collect()
}

fn of_service(service: &services::Service) -> ServiceLimits {
    let file = &service.file;
    let seconds = Duration::from_secs;
    let clock = |default: Option<u64>, max: Option<u64>| ClockLimits {
        default: default.map(seconds),
        max: max.map(seconds),
    };
    ServiceLimits {
        timeout: seconds(file.timeout_seconds),
        max_timeout: seconds(file.max_timeout()),
        queue: clock(file.queue_timeout_seconds, file.max_queue_timeout_seconds),
        deadline: clock(file.deadline_seconds, file.max_deadline_seconds),
        retries: file.retry.retries,
        max_retries: file.retry.max_retries,
        backoff: seconds(file.retry.backoff_seconds),
        max_backoff: seconds(file.retry.max_backoff_seconds),
        ttl: file.ttl_seconds_after_finished.map(seconds),
        result_max_bytes: file.result_max_bytes,
        result_check: result_check(service),
        flow: flow(file),
    }
}

fn result_check(service: &services::Service) -> Option<ResultCheck> {
    let schema = service.result.as_ref()?;
    let service = service.clone();
    let check =
        move |result: &Map<String, Value>| service.check_result(&Value::Object(result.clone()));
    Some(ResultCheck::new(schema.text(), check))
}

fn flow(file: &services::ServiceFile) -> Flow {
    let limits = &file.limits;
    Flow {
        concurrency: limits.concurrency,
        per_tenant: limits.per_tenant,
        per_key: limits.key.as_ref().map(|key| key.max),
        rate: limits.rate.map(|rate| Rate {
            every: Duration::from_secs_f64(1.0 / rate.per_second),
            burst: rate.burst,
        }),
        paused: file.paused,
    }
}
