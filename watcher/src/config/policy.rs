//! The `policy` section: who may ask for what.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::policy::{Policy, PolicyError};

/// Takes effect while the watcher runs: new requests are judged by it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// The rules, in order. Default none: every request is rejected.
    pub rules: Option<Vec<Value>>,
    /// A file with the rules, in place of `rules`; beside the configuration file unless it is absolute.
    pub file: Option<PathBuf>,
    /// The requester policy is installed, so that `spec.requester` is true; rules about who asks are
    /// refused without it. Default false.
    pub requester_policy_installed: bool,
}

// === impl PolicyConfig ===

impl PolicyConfig {
    /// Reads the rules. `config` is the configuration file that this was read from, when there is one.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub(crate) fn load(&self, config: Option<&Path>) -> Result<Policy, PolicyError> {
        let requesters = self.requester_policy_installed;
        let origin = config.map_or("the environment".into(), |file| file.display().to_string());
        match (&self.rules, self.path(config)) {
            (Some(_), Some(_)) => Err(PolicyError::Wrong {
                origin,
                why: "it has both `policy.rules` and `policy.file`; keep one".into(),
            }),
            (None, Some(file)) => Policy::of_file(&file, requesters),
            (rules, None) => {
                let rules = rules.as_deref().unwrap_or_default();
                Policy::of_rules(&origin, rules, requesters)
            }
        }
    }

    /// The file with the rules.
    pub(crate) fn path(&self, config: Option<&Path>) -> Option<PathBuf> {
        let file = self.file.as_ref()?;
        let folder = config.and_then(Path::parent);
        Some(folder.map_or(file.clone(), |folder| folder.join(file)))
    }
}
