//! Logs: to stderr, as text or as JSON lines, filtered by `RUST_LOG`'s syntax. An event is always one line,
//! without characters that could act on a terminal.

mod clean;

use std::io::IsTerminal as _;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use clean::CleanWriters;

/// Libraries that log an error per failed try, where our own line once a minute says it better. A
/// directive for the same target in the configured filter wins.
const QUIET: &str = "kube_client=off,kube_runtime=off,lapin=off";

/// The `log` section of a configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` (default) or `json`.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`, which overrides it. Default `info`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
#[error("the log filter `{filter}` is wrong: {source}; write it as in `info,isc_watcher=debug`")]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}

/// Sets the process's logger up. A second call changes nothing.
///
/// # Errors
/// A filter that does not parse.
pub fn init(config: &LogConfig) -> Result<(), FilterError> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| config.filter.clone());
    let parsed = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .map_err(|source| FilterError { filter, source })?;
    let colours = std::io::stderr().is_terminal();
    let writers = CleanWriters {
        inner: std::io::stderr,
        colours,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(writers)
        .with_ansi(colours);
    // An error here only says that a logger is there already, as in tests.
    let _already = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
