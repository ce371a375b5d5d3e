//! Where the broker is: the `amqp` section of a configuration.

use std::{fmt, path::PathBuf};

use lapin::uri::AMQPUri;
use serde::Deserialize;

use super::{AmqpError, Topology};

/// RabbitMQ's own default address.
const DEFAULT_URL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

/// The `amqp` section. Its `Debug` form carries no password.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AmqpConfig {
    /// The broker's address with user and password.
    pub url: String,
    /// A file that holds the address; wins over `url` and is read again at every connect.
    pub url_file: Option<PathBuf>,
    /// What the names of exchanges and queues start with.
    pub prefix: Option<String>,
}

/// A broker's address. Shown without its password.
#[derive(Clone)]
pub struct Address(AMQPUri);

// === impl AmqpConfig ===

impl Default for AmqpConfig {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.into(),
            url_file: None,
            prefix: None,
        }
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("url", &"(hidden)")
            .field("url_file", &self.url_file)
            .field("prefix", &self.prefix)
            .finish()
    }
}

impl AmqpConfig {
    /// The effective address: that of the file when one is named.
    ///
    /// Reads a small file; called at start and at every connect.
    ///
    /// # Errors
    /// When the file cannot be read or the text is not an AMQP address.
    pub fn address(&self) -> Result<Address, AmqpError> {
        let (origin, text) = match &self.url_file {
            None => ("`amqp.url`".to_owned(), self.url.clone()),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| AmqpError::UrlFile {
                    path: path.clone(),
                    source,
                })?;
                (format!("`amqp.urlFile` {}", path.display()), text)
            }
        };
        Address::parse(text.trim()).map_err(|why| AmqpError::Url { origin, why })
    }

    /// The names at the broker; `default` is the prefix where the configuration has none.
    ///
    /// # Errors
    /// A prefix that cannot be part of a queue's name.
    pub fn topology(&self, default: &str) -> Result<Topology, AmqpError> {
        Topology::new(self.prefix.as_deref().unwrap_or(default))
    }
}

// === impl Address ===

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with("amqp://") && !text.starts_with("amqps://") {
            return Err("it starts with neither amqp:// nor amqps://".into());
        }
        let uri: AMQPUri = text.parse().map_err(|why: String| {
            // A parser's message may quote its input, which holds the password.
            if why.contains(text) {
                "it cannot be parsed".to_owned()
            } else {
                why
            }
        })?;
        Ok(Self(uri))
    }

    pub(super) fn uri(&self) -> &AMQPUri {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.0.authority;
        write!(
            f,
            "{}://{}@{}:{}/{}",
            self.0.scheme,
            authority.userinfo.username,
            authority.host,
            authority.port,
            if self.0.vhost == "/" {
                "%2f"
            } else {
                &self.0.vhost
            },
        )
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> AmqpConfig {
        AmqpConfig {
            url: url.into(),
            ..AmqpConfig::default()
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let config = config("amqp://isc:s3cret@mq.example:5673/team");
        let address = config.address().unwrap();
        assert_eq!(address.to_string(), "amqp://isc@mq.example:5673/team");
        assert!(!format!("{address:?} {config:?}").contains("s3cret"));
        let default = AmqpConfig::default().address().unwrap();
        assert_eq!(default.to_string(), "amqp://guest@127.0.0.1:5672/%2f");
    }

    #[test]
    fn a_wrong_address_names_the_key_and_never_the_password() {
        for url in [
            "http://isc:s3cret@mq",
            "amqp://isc:s3cret@mq:99999",
            "amqp://isc:s3cret@mq?heartbeat=s3cret",
            "isc:s3cret",
        ] {
            let error = config(url).address().unwrap_err().to_string();
            assert!(error.contains("amqp.url"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_file_wins_and_a_missing_one_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "amqp://a:b@filed:1/x\n").unwrap();
        let mut config = config("amqp://unused");
        config.url_file = Some(file.path().to_owned());
        assert_eq!(config.address().unwrap().to_string(), "amqp://a@filed:1/x");
        config.url_file = Some("/nowhere/url".into());
        let error = config.address().unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/url") && error.contains("urlFile"),
            "{error}"
        );
    }
}
