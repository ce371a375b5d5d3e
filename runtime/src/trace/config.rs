//! The `tracing` section of a configuration.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    TraceError,
    collector::{Collector, Place, Tls},
};
use crate::{
    config::ConfigError,
    tls::{CertificateMetrics, ClientTlsConfig},
};

/// The `tracing` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TraceConfig {
    /// Where an OpenTelemetry collector takes OTLP over gRPC: `http://host:port`, or `https://host:port`, which
    /// needs `tls`. Default: what `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` says, or
    /// `http://localhost:4317`.
    pub endpoint: Option<String>,
    /// Whom to trust at an `https://` address, and the own certificate where the collector asks for one.
    pub tls: Option<ClientTlsConfig>,
    /// The share of the requests without a trace of their caller's that is recorded, 0 to 1. Default 1.
    pub sample_ratio: f64,
}

/// The variables with the address where the configuration has none, the better one first.
const VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
/// The address where nobody says one.
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";

// === impl TraceConfig ===

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            tls: None,
            sample_ratio: 1.0,
        }
    }
}

impl TraceConfig {
    /// Checks what types cannot express, and reads no file.
    ///
    /// # Errors
    /// The first broken rule, with its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.place().map(drop)
    }

    /// Where spans are sent, with the files of an encrypted way.
    ///
    /// # Errors
    /// The first broken rule, or what is wrong with a file.
    pub fn collector(&self, metrics: &CertificateMetrics) -> Result<Collector, TraceError> {
        let place = self.place()?;
        let tls = match &self.tls {
            Some(tls) => Some(Tls::new(tls, &place, metrics)?),
            None => None,
        };
        Ok(Collector {
            place,
            tls: tls.map(Arc::new),
            ratio: self.sample_ratio,
        })
    }

    fn place(&self) -> Result<Place, ConfigError> {
        self.place_by(|name| std::env::var(name).ok())
    }

    pub(super) fn place_by(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Place, ConfigError> {
        let rule = |text: String| Err(ConfigError::Rule(text));
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return rule(format!(
                "`tracing.sampleRatio` must be between 0 and 1; it is {}",
                self.sample_ratio
            ));
        }
        let given = |name| Some((name, variable(name).filter(|text| !text.is_empty())?));
        let (key, endpoint) = match &self.endpoint {
            Some(endpoint) => ("`tracing.endpoint`", endpoint.clone()),
            None => VARIABLES
                .into_iter()
                .find_map(given)
                .unwrap_or(("`tracing.endpoint`", DEFAULT_ENDPOINT.into())),
        };
        let Some(place) = Place::parse(&endpoint) else {
            return rule(format!(
                "{key} must be `http://host:port` or `https://host:port`, where a collector takes OTLP over gRPC; \
                 it is `{endpoint}`"
            ));
        };
        match (place.is_encrypted(), &self.tls) {
            (true, None) => rule(format!(
                "{key} is `{endpoint}`, which is encrypted, but `tracing.tls` is missing: name `caFile` there"
            )),
            (false, Some(_)) => rule(format!(
                "`tracing.tls` is there, but {key} is `{endpoint}`, which is not encrypted: write https://"
            )),
            _ => Ok(place),
        }
    }
}
