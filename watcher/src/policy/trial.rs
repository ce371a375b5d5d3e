//! A policy tried on a request in a file: `isc-watcher policy test`.

use std::path::{Path, PathBuf};

use clap::Args;
use isc_core::{
    api::{GROUP, KIND, PLURAL, RequestSpec, VERSION},
    reason::Reason,
};
use serde_json::{Map, Value, json};

use super::{Asked, Policy, PolicyError};
use crate::{admission::usual_message, config::WatcherConfig};

/// Tells which rule decides on a request, and why each earlier one does not.
///
/// Ends with 0 when the request is accepted, with 1 when it is rejected, with 2 when a file is wrong.
#[derive(Args, Debug)]
pub struct Trial {
    /// The policy: a file of rules, or a watcher's configuration.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    policy: PathBuf,
    /// The request, as its caller would create it.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The path of its workspace, as in root:org:team-a. Default: not known.
    #[arg(long, value_name = "PATH")]
    workspace: Option<String>,
    /// The name of its logical cluster.
    #[arg(long, default_value = "", value_name = "NAME")]
    cluster: String,
    /// Its namespace. Default: the request's own, else `default`.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Who asks. Default: the request's own `spec.requester`.
    #[arg(long, value_name = "USER")]
    requester: Option<String>,
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A file cannot be read or is no YAML.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// The file holds something else than a request.
    #[error("{path} is no request: {why}")]
    NoRequest {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
}

// === impl Trial ===

impl Trial {
    /// Whether the request is accepted, and the explanation.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub fn run(&self) -> Result<(bool, String), TrialError> {
        let (policy, instance) = self.policy()?;
        let object = read(&self.request)?;
        let mut spec = self.spec(&object)?;
        let params = spec.params.take().unwrap_or_default().into();
        spec.requester = self.requester.clone().or(spec.requester);
        let told = |field: &str| object["metadata"][field].as_str();
        let namespace = self.namespace.as_deref().or(told("namespace"));
        let asked = Asked {
            uid: "",
            kind: &format!("{PLURAL}.{GROUP}"),
            workspace: self.workspace.as_deref(),
            cluster: &self.cluster,
            namespace: namespace.unwrap_or("default"),
            name: told("name").unwrap_or_default(),
            spec: &spec,
            params: &params,
            groups: &[],
        };
        let (accepted, mut text) = policy.explain(&asked);
        for warning in policy.warnings() {
            text.extend(["warning: ", &warning, "\n"]);
        }
        if !accepted {
            let decision = policy.decide(&asked);
            let own = decision.message().map(str::to_owned);
            let message = own.unwrap_or_else(|| usual_message(&instance));
            let reason = Reason::NotAccepted.as_str();
            text.extend(["the caller reads ", reason, ": ", &message, "\n"]);
        }
        Ok((accepted, text))
    }

    /// The rules, and the instance's name. Whether the requester policy is installed cannot be told from
    /// rules alone.
    fn policy(&self) -> Result<(Policy, String), TrialError> {
        let file = self.policy.as_path();
        let keys = read(file)?;
        if keys.get("rules").is_some() {
            return Ok((Policy::of_file(file, true)?, "isc".into()));
        }
        let config: WatcherConfig = isc_runtime::config::load_from(Some(file), [])
            .map_err(|error| unreadable(file, &error))?;
        Ok((config.policy.load(Some(file))?, config.instance))
    }

    fn spec(&self, object: &Value) -> Result<RequestSpec, TrialError> {
        let wrong = |why: String| TrialError::NoRequest {
            path: self.request.clone(),
            why,
        };
        let wanted = json!([format!("{GROUP}/{VERSION}"), KIND]);
        let found = json!([object["apiVersion"], object["kind"]]);
        if found != wanted {
            return Err(wrong(format!(
                "its apiVersion and kind are {found}, not {wanted}"
            )));
        }
        serde_json::from_value(object["spec"].clone())
            .map_err(|error| wrong(format!("spec: {error}")))
    }
}

fn read(file: &Path) -> Result<Value, TrialError> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    let object: Map<String, Value> =
        serde_saphyr::from_str(&text).map_err(|error| unreadable(file, &error))?;
    Ok(object.into())
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> TrialError {
    TrialError::Read {
        path: path.to_owned(),
        why: why.to_string(),
    }
}
