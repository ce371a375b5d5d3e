//! The `tracing` section of a configuration.

use serde::Deserialize;

use crate::config::ConfigError;

/// The `tracing` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TraceConfig {
    /// Where an OpenTelemetry collector takes OTLP over gRPC: `http://host:port`. Default: what the
    /// `OTEL_EXPORTER_OTLP_*` variables say, or `http://localhost:4317`.
    pub endpoint: Option<String>,
    /// The share of the requests without a trace of their caller's that is recorded, 0 to 1. Default 1.
    pub sample_ratio: f64,
}

// === impl TraceConfig ===

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample_ratio: 1.0,
        }
    }
}

impl TraceConfig {
    /// Checks what types cannot express.
    ///
    /// # Errors
    /// The first broken rule, with its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(ConfigError::Rule(format!(
                "`tracing.sampleRatio` must be between 0 and 1; it is {}",
                self.sample_ratio
            )));
        }
        let usable = |endpoint: &str| {
            let rest = endpoint.strip_prefix("http://");
            rest.is_some_and(|rest| rest.trim_end_matches('/').contains(':'))
        };
        match &self.endpoint {
            Some(endpoint) if !usable(endpoint) => Err(ConfigError::Rule(format!(
                "`tracing.endpoint` must be `http://host:port`, where a collector takes OTLP over gRPC; it is \
                 `{endpoint}`"
            ))),
            _ => Ok(()),
        }
    }
}
