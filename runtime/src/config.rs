//! Configuration: one YAML file, then the environment, strict.
//!
//! A variable is the key's path in upper case behind `ISC_`, levels parted by `__`: `ISC_AMQP__URL` sets
//! `amqp.url`, `ISC_SERVICES_DIR` sets `servicesDir`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

/// Why a configuration cannot be used; the message names the file or variable and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file is not there or not YAML.
    #[error("cannot read the configuration file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<config::ConfigError>,
    },
    /// A key is unknown, missing or of the wrong type.
    #[error("the configuration ({origin}) is wrong: {source}")]
    Invalid {
        /// Where it was read from.
        origin: String,
        /// The cause, with the key.
        source: Box<config::ConfigError>,
    },
    /// The values do not fit together.
    #[error("the configuration is wrong: {0}")]
    Rule(String),
}

/// Reads a file (when there is one) and the process's `ISC_*` variables.
///
/// # Errors
/// See [`ConfigError`]; unknown keys are errors when `T` denies unknown fields.
pub fn load<T: DeserializeOwned>(path: Option<&Path>) -> Result<T, ConfigError> {
    load_from(path, std::env::vars())
}

/// As [`load`], with the environment as an argument.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_from<T: DeserializeOwned>(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let env: HashMap<String, String> = env
        .into_iter()
        .filter(|(name, _)| name.starts_with("ISC_"))
        .collect();
    let vars: Vec<String> = env.keys().cloned().collect();
    let mut builder = Config::builder();
    if let Some(path) = path {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::File {
            path: path.to_owned(),
            source: Box::new(config::ConfigError::Foreign(Box::new(e))),
        })?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Yaml));
    }
    let environment = Environment::with_prefix("ISC")
        .prefix_separator("_")
        .separator("__")
        .convert_case(config::Case::Camel)
        .try_parsing(true)
        .source(Some(env));
    let built = builder
        .add_source(environment)
        .build()
        .map_err(Box::new)
        .map_err(|source| match path {
            Some(path) => ConfigError::File {
                path: path.to_owned(),
                source,
            },
            None => ConfigError::Invalid {
                origin: "environment".into(),
                source,
            },
        })?;
    built
        .try_deserialize()
        .map_err(Box::new)
        .map_err(|source| ConfigError::Invalid {
            origin: origin(path, &vars),
            source,
        })
}

fn origin(path: Option<&Path>, vars: &[String]) -> String {
    let mut parts: Vec<String> = path.iter().map(|p| p.display().to_string()).collect();
    if !vars.is_empty() {
        let mut vars = vars.to_vec();
        vars.sort();
        parts.push(vars.join(", "));
    }
    if parts.is_empty() {
        "no file, no ISC_ variables".into()
    } else {
        parts.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Sample {
        services_dir: PathBuf,
        #[serde(default)]
        amqp: Amqp,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Amqp {
        url: String,
        parallel: u16,
    }

    fn read(yaml: &str, vars: &[(&str, &str)]) -> Result<Sample, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let env: HashMap<_, _> = vars
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        load_from(Some(file.path()), env)
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let vars = [
            ("ISC_AMQP__URL", "amqp://b"),
            ("ISC_SERVICES_DIR", "/s"),
            ("HOME", "/root"),
        ];
        let sample = read(
            "servicesDir: /x\namqp: {url: 'amqp://a', parallel: 3}",
            &vars,
        )
        .unwrap();
        assert_eq!(sample.services_dir, PathBuf::from("/s"));
        assert_eq!(
            (sample.amqp.url.as_str(), sample.amqp.parallel),
            ("amqp://b", 3)
        );
    }

    #[test]
    fn a_number_in_the_environment_is_a_number() {
        let sample = read("servicesDir: /x", &[("ISC_AMQP__PARALLEL", "7")]).unwrap();
        assert_eq!(sample.amqp.parallel, 7);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = read("servicesDir: /x\namqp: {urll: a}", &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("urll"), "{error}");
        let error = read("servicesDir: /x", &[("ISC_COLOUR", "a")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("colour") && error.contains("ISC_COLOUR"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_key_and_a_broken_file_are_named() {
        let error = read("amqp: {}", &[]).unwrap_err().to_string();
        assert!(error.contains("servicesDir"), "{error}");
        let error = read("a: [", &[]).unwrap_err().to_string();
        assert!(error.contains("cannot read"), "{error}");
        let error = load::<Sample>(Some(Path::new("/nowhere.yaml")))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nowhere.yaml"), "{error}");
    }
}
