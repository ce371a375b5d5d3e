//! Logs: to stderr, as text or as JSON lines, filtered by `RUST_LOG`'s syntax. An event is always one line,
//! without characters that could act on a terminal. The filter can be changed while the process runs.

mod clean;
mod follow;

use std::{io::IsTerminal as _, sync::OnceLock};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use clean::CleanWriters;
pub use follow::follow_filter;

/// Libraries that log an error per failed try, where our own line once a minute says it better. A
/// directive for the same target in the configured filter wins.
const QUIET: &str = "kube_client=off,kube_runtime=off,lapin=off";

/// Overrides the configured filter.
const VARIABLE: &str = "RUST_LOG";

/// The `log` section of a configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` (default) or `json`.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`, which overrides it. Takes effect while the process runs.
    /// Default `info`.
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

/// Changes what the process's logger lets through.
type Refilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// There is one logger, and so one filter.
static REFILTER: OnceLock<Refilter> = OnceLock::new();

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}

// === impl LogConfig ===

impl LogConfig {
    /// Checks that the filter can be used.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn check(&self) -> Result<(), FilterError> {
        parse(self.filter.clone()).map(drop)
    }
}

/// Sets the process's logger up. A second call changes nothing.
///
/// # Errors
/// A filter that does not parse.
pub fn init(config: &LogConfig) -> Result<(), FilterError> {
    let filter = std::env::var(VARIABLE).unwrap_or_else(|_| config.filter.clone());
    let parsed = parse(filter)?;
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
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            // Fails only when the logger is gone, and then there is nothing to filter.
            let _ = REFILTER.set(Box::new(move |filter| _ = handle.reload(filter)));
            builder.try_init()
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = REFILTER.set(Box::new(move |filter| _ = handle.reload(filter)));
            builder.try_init()
        }
    };
    Ok(())
}

/// Changes the filter of the running logger.
///
/// # Errors
/// A filter that does not parse: the one before stays.
fn refilter(filter: &str) -> Result<(), FilterError> {
    let parsed = parse(filter.to_owned())?;
    if let Some(refilter) = REFILTER.get() {
        refilter(parsed);
    }
    Ok(())
}

fn parse(filter: String) -> Result<EnvFilter, FilterError> {
    EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|source| FilterError { filter, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_told_and_changes_nothing() {
        let error = refilter("isc_worker=loud").unwrap_err().to_string();
        assert!(
            error.contains("`isc_worker=loud`") && error.contains("isc_watcher=debug"),
            "{error}"
        );
        assert!(refilter("info,isc_worker=debug").is_ok());
    }
}
