//! The catalogue: one file per service, `services/<name>.yaml`, read by watcher and worker alike.
//!
//! The watcher uses the limits, the worker the executor; both refuse the whole file when any part of
//! it is wrong, so that a mistake shows on whichever starts first.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

mod exec;
mod key;
mod limits;
mod runs;
mod schema;

pub use exec::{Exec, ExitClass};
pub use key::{KEY_MAX_BYTES, KeyError, KeyExpression};
pub use limits::{Concurrency, Key, Rate, Retry};
pub use runs::{Handler, Runs};
pub use schema::{ANSWER_MAX_BYTES, SCHEMA_MAX_BYTES, Schema};

/// The time of one attempt when neither request nor service names one, seconds.
pub const DEFAULT_TIMEOUT_SECONDS: u64 = 300;
/// The longest time of one attempt that a request may ask for unless the service says otherwise, seconds.
pub const DEFAULT_MAX_TIMEOUT_SECONDS: u64 = 3600;
/// The largest result unless the service says otherwise, bytes.
pub const DEFAULT_RESULT_MAX_BYTES: u32 = 64 * 1024;
/// The time that a job has after it was told to stop unless the service says otherwise, seconds.
pub const DEFAULT_GRACE_SECONDS: u64 = 10;
/// The largest result that a service may allow, bytes: an object must stay well below etcd's 1.5 MiB.
pub const RESULT_MAX_BYTES_LIMIT: u32 = 256 * 1024;

/// All services of a directory, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    services: BTreeMap<String, Service>,
}

/// One service: what its file says, checked.
#[derive(Clone, Debug)]
pub struct Service {
    /// The file's stem: a DNS label.
    pub name: String,
    /// The directory of the file; relative programs start here.
    pub dir: PathBuf,
    /// The file's content.
    pub file: ServiceFile,
    /// What runs a job of it.
    pub runs: Runs,
    /// The compiled `limits.key.cel`.
    pub key: Option<KeyExpression>,
    /// The compiled `paramsSchema`.
    pub params: Option<Schema>,
    /// The compiled `resultSchema`.
    pub result: Option<Schema>,
}

/// The content of `services/<name>.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceFile {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// How long one attempt may run when the request does not say, seconds. Default 300.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// The most that a request's `timeoutSeconds` can ask for, seconds. Default: the larger of 3600
    /// and `timeoutSeconds`.
    pub max_timeout_seconds: Option<u64>,
    /// How long a request may wait for its start when it does not say, seconds. Default: for ever.
    pub queue_timeout_seconds: Option<u64>,
    /// The most that a request's `queueTimeoutSeconds` can ask for, and what one gets that asks for none
    /// where there is no default.
    pub max_queue_timeout_seconds: Option<u64>,
    /// How long a request may take in all when it does not say, seconds. Default: for ever.
    pub deadline_seconds: Option<u64>,
    /// The most that a request's `deadlineSeconds` can ask for, and what one gets that asks for none where
    /// there is no default.
    pub max_deadline_seconds: Option<u64>,
    /// Further attempts.
    #[serde(default)]
    pub retry: Retry,
    /// A finished request is deleted that long after its end when it does not say, seconds. Default: never.
    pub ttl_seconds_after_finished: Option<u64>,
    /// What may be under way at once.
    #[serde(default)]
    pub limits: Concurrency,
    /// Nothing new starts; what runs goes on.
    #[serde(default)]
    pub paused: bool,
    /// The largest result, bytes. Default 65536, at most 262144.
    #[serde(default = "default_result_max")]
    pub result_max_bytes: u32,
    /// What the parameters must be: a JSON Schema (2020-12). Default: any object.
    #[serde(default, deserialize_with = "present")]
    pub params_schema: Option<Value>,
    /// What a result must be: a JSON Schema (2020-12). Default: any object, or none.
    #[serde(default, deserialize_with = "present")]
    pub result_schema: Option<Value>,
    exec: Option<Exec>,
    handler: Option<Handler>,
}

/// Why a catalogue cannot be used. Every message names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The directory cannot be listed.
    #[error(
        "cannot read the services directory {path}: {source}; set `servicesDir` to the folder of the <name>.yaml files"
    )]
    Dir {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read the service file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file is not what it must be.
    #[error("the service file {path} is wrong: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        message: String,
    },
    /// There is nothing to serve.
    #[error("the services directory {path} has no <name>.yaml file: add one per service")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
}

fn default_timeout() -> u64 {
    DEFAULT_TIMEOUT_SECONDS
}

fn default_result_max() -> u32 {
    DEFAULT_RESULT_MAX_BYTES
}

/// A schema that is there but empty is a mistake, not the absence of one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

// === impl Catalogue ===

impl Catalogue {
    /// Reads every `*.yaml` file of a directory; other files (scripts, say) are left alone.
    ///
    /// # Errors
    /// The first thing that is wrong, naming the file; also when there is no service at all.
    pub fn load(dir: &Path) -> Result<Self, CatalogueError> {
        let listing = |source| CatalogueError::Dir {
            path: dir.to_owned(),
            source,
        };
        let mut services = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(listing)? {
            let path = entry.map_err(listing)?.path();
            if path.extension().is_some_and(|e| e == "yaml") {
                let service = Service::load(&path)?;
                services.insert(service.name.clone(), service);
            }
        }
        if services.is_empty() {
            return Err(CatalogueError::Empty {
                path: dir.to_owned(),
            });
        }
        Ok(Self { services })
    }

    /// The service of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    /// All services, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }
}

// === impl Service ===

impl Service {
    /// Reads one service file.
    ///
    /// # Errors
    /// When it cannot be read or breaks a rule, naming the file.
    pub fn load(path: &Path) -> Result<Self, CatalogueError> {
        let invalid = |message: String| CatalogueError::Invalid {
            path: path.to_owned(),
            message,
        };
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default()
            .to_owned();
        if !is_dns_label(&name) {
            return Err(invalid(format!(
                "its name `{name}` must be a DNS label (a-z, 0-9 and -, at most 63): it is the service's name"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|source| CatalogueError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut file: ServiceFile =
            serde_saphyr::from_str(&text).map_err(|e| invalid(e.to_string()))?;
        file.check_limits().map_err(invalid)?;
        let runs = file.take_runs().map_err(invalid)?;
        let key = file.limits.compiled_key().map_err(invalid)?;
        let params = compiled("paramsSchema", file.params_schema.as_ref()).map_err(invalid)?;
        let result = compiled("resultSchema", file.result_schema.as_ref()).map_err(invalid)?;
        // An absolute folder: the job runs in a working directory of its own.
        let dir = path.parent().unwrap_or(Path::new("."));
        let dir = std::path::absolute(dir).map_err(|source| CatalogueError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            name,
            dir,
            file,
            runs,
            key,
            params,
            result,
        })
    }

    /// Whether the service takes these parameters.
    ///
    /// # Errors
    /// What of `paramsSchema` they break, for who asked: places and what is expected there, at most 1 KiB,
    /// no values.
    pub fn check_params(&self, params: &Value) -> Result<(), String> {
        let schema = self.params.as_ref();
        let checked = schema.map_or(Ok(()), |schema| schema.check(params));
        checked.map_err(|broken| format!("spec.params: {broken}"))
    }

    /// Whether a job of the service may give that back; no result is an empty object.
    ///
    /// # Errors
    /// What of `resultSchema` it breaks: places and what is expected there, at most 1 KiB, no values.
    pub fn check_result(&self, result: &Value) -> Result<(), String> {
        let schema = self.result.as_ref();
        let checked = schema.map_or(Ok(()), |schema| schema.check(result));
        checked.map_err(|broken| format!("the job's result: {broken}"))
    }
}

fn compiled(key: &str, schema: Option<&Value>) -> Result<Option<Schema>, String> {
    let compiled = schema.map(Schema::compile).transpose();
    compiled.map_err(|why| format!("`{key}` is no JSON Schema that can be used: {why}"))
}

/// Whether a text is a DNS label (RFC 1123): what Kubernetes demands of most names.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
