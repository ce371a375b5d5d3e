//! Where this watcher listens, and whom it lets in: the `grpc`, `scaler` and `admin` sections.

use std::net::SocketAddr;

use isc_runtime::{config::ConfigError, tls::ServerTlsConfig};
use serde::Deserialize;

use crate::grpc::Allowed;

/// The `grpc` section. One of `tls` and `plaintext` must be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// Default `0.0.0.0:7443`.
    pub listen: SocketAddr,
    /// The certificates: workers show theirs too.
    pub tls: Option<ServerTlsConfig>,
    /// No encryption, and whoever reaches the port is a worker. Default false.
    pub plaintext: bool,
    /// Which workers may run which services, by their certificates. Takes effect while the watcher runs.
    /// Default: nobody may.
    pub workers: Vec<WorkerRule>,
}

/// Lets some workers run some services. In a pattern `*` stands for any characters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkerRule {
    /// Patterns of names in certificates: DNS names and URIs.
    pub identities: Vec<String>,
    /// Patterns of the services that these workers may run.
    pub services: Vec<String>,
    /// Patterns of the names that these workers may have. Default: any.
    #[serde(default = "any")]
    pub names: Vec<String>,
}

/// The `scaler` section. One of `tls` and `plaintext` must be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScalerConfig {
    /// Default `0.0.0.0:7444`.
    pub listen: SocketAddr,
    /// The certificates: KEDA shows one too.
    pub tls: Option<ServerTlsConfig>,
    /// No encryption, and whoever reaches the port may ask. Default false.
    pub plaintext: bool,
}

/// The `admin` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Default `0.0.0.0:8080`.
    pub listen: SocketAddr,
}

fn any() -> Vec<String> {
    vec!["*".into()]
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7443)),
            tls: None,
            plaintext: false,
            workers: vec![],
        }
    }
}

impl Default for ScalerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7444)),
            tls: None,
            plaintext: false,
        }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
        }
    }
}

// === impl GrpcConfig ===

impl GrpcConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let whoever = "whoever reaches the port is a worker, with access to all requests";
        either("grpc", self.tls.as_ref(), self.plaintext, whoever)?;
        let rule = |text: &str| Err(ConfigError::Rule(text.into()));
        match (self.plaintext, self.workers.is_empty()) {
            (true, false) => {
                return rule(
                    "`grpc.workers` goes by certificates, and with `grpc.plaintext` there are none: remove one of the two",
                );
            }
            (false, true) => {
                return rule(
                    "`grpc.workers` is empty, so that no worker could connect: say which certificates may run which \
                     services, as in {identities: ['*.workers.example'], services: ['*']}",
                );
            }
            _ => {}
        }
        Allowed::new(self).map(drop)
    }
}

// === impl ScalerConfig ===

impl ScalerConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let whoever = "whoever reaches the port may ask how much there is to do";
        either("scaler", self.tls.as_ref(), self.plaintext, whoever)
    }
}

fn either(
    section: &str,
    tls: Option<&ServerTlsConfig>,
    plaintext: bool,
    whoever: &str,
) -> Result<(), ConfigError> {
    match (tls, plaintext) {
        (Some(_), false) | (None, true) => Ok(()),
        (Some(_), true) => Err(ConfigError::Rule(format!(
            "`{section}.plaintext` and `{section}.tls` exclude each other: remove one"
        ))),
        (None, false) => Err(ConfigError::Rule(format!(
            "`{section}.tls` is missing: name `certFile`, `keyFile` and `caFile`; or set `{section}.plaintext: true`, \
             where the network itself is trusted: {whoever}"
        ))),
    }
}
