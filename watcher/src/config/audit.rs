//! The `audit` section.

use std::path::PathBuf;

use isc_runtime::config::ConfigError;
use serde::Deserialize;

/// Where every decision is told as one JSON line: exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuditConfig {
    /// A file that lines are appended to. It is opened anew when it was rotated away.
    pub file: Option<PathBuf>,
    /// The standard output; logs go to the standard error.
    pub stdout: bool,
}

// === impl AuditConfig ===

impl AuditConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.file.is_some() != self.stdout {
            return Ok(());
        }
        let text = "`audit` must have either `file`, the file that lines are appended to, or `stdout: true`";
        Err(ConfigError::Rule(text.into()))
    }
}
