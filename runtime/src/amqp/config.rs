//! Where the broker is: the `amqp` section of a configuration.

use std::{fmt, path::PathBuf, sync::Arc};

use lapin::uri::{AMQPScheme, AMQPUri};
use serde::Deserialize;

use super::{AmqpError, Topology};
use crate::tls::{CertificateMetrics, ClientCredentials, ClientTlsConfig};

/// RabbitMQ's own default address.
const DEFAULT_URL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

/// The `amqp` section. Its `Debug` form carries no password.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AmqpConfig {
    /// The broker's address with user and password, or those of a cluster's nodes with commas or blanks
    /// between them: one after the other is tried, beginning with any. `amqps://` is encrypted and needs
    /// `tls`. Default `amqp://guest:guest@127.0.0.1:5672/%2f`.
    pub url: String,
    /// A file that holds the addresses; wins over `url` and is read again at every connect.
    pub url_file: Option<PathBuf>,
    /// Whom to trust at an `amqps://` address, and the own certificate where the broker asks for one. With
    /// `?auth_mechanism=external` at the address, the certificate stands for user and password.
    pub tls: Option<ClientTlsConfig>,
    /// What the names of exchanges and queues start with.
    pub prefix: Option<String>,
}

/// The section of the files, as messages name it.
pub(super) const TLS_SECTION: &str = "amqp.tls";

/// A broker's address. Shown without its password.
#[derive(Clone)]
pub struct Address(AMQPUri);

// === impl AmqpConfig ===

impl Default for AmqpConfig {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.into(),
            url_file: None,
            tls: None,
            prefix: None,
        }
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("url", &"(hidden)")
            .field("url_file", &self.url_file)
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .finish()
    }
}

impl AmqpConfig {
    /// The effective addresses: those of the file when one is named. At least one.
    ///
    /// Reads a small file; called at start and at every connect.
    ///
    /// # Errors
    /// When the file cannot be read, a text is not an AMQP address, or one is encrypted and `tls` is missing.
    pub fn addresses(&self) -> Result<Vec<Address>, AmqpError> {
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
        let wrong = |why| AmqpError::Url {
            origin: origin.clone(),
            why,
        };
        let addresses: Vec<Address> = parted(&text)
            .map(|one| Address::parse(one).map_err(wrong))
            .collect::<Result<_, _>>()?;
        match addresses.iter().find(|address| address.is_encrypted()) {
            _ if addresses.is_empty() => Err(wrong("it is empty".into())),
            Some(address) if self.tls.is_none() => Err(AmqpError::NoTls(address.to_string())),
            _ => Ok(addresses),
        }
    }

    /// What encrypted connections use; none where no `tls` is configured.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn credentials(
        &self,
        metrics: &CertificateMetrics,
    ) -> Result<Option<Arc<ClientCredentials>>, AmqpError> {
        let Some(tls) = &self.tls else {
            return Ok(None);
        };
        let shown = metrics.of("amqp", tls.cert_file.is_some());
        let read = ClientCredentials::client(TLS_SECTION, tls, shown)?;
        Ok(Some(Arc::new(read)))
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
        if text.matches("://").count() != 1 {
            return Err("it has a second address: put commas or blanks between them".into());
        }
        // The parser's message may quote its input, which holds the password.
        let uri: AMQPUri = text
            .parse()
            .map_err(|_not_shown: String| "it cannot be parsed".to_owned())?;
        if uri.vhost.contains('@') {
            return Err(
                "its virtual host has an `@`: is it a second address without amqp://?".into(),
            );
        }
        Ok(Self(uri))
    }

    pub(super) fn uri(&self) -> &AMQPUri {
        &self.0
    }

    fn is_encrypted(&self) -> bool {
        matches!(self.0.scheme, AMQPScheme::AMQPS)
    }
}

/// The addresses of a text. A comma may be part of a password, so only one before a scheme parts them.
fn parted(text: &str) -> impl Iterator<Item = &str> {
    let commas = |word: &'_ str| -> Vec<usize> {
        let schemes = [",amqp://", ",amqps://"];
        let found = schemes.iter().flat_map(|scheme| word.match_indices(scheme));
        let mut found: Vec<usize> = found.map(|(at, _)| at).collect();
        found.sort_unstable();
        found
    };
    text.split_whitespace().flat_map(move |word| {
        let ends = commas(word).into_iter().chain([word.len()]);
        let mut from = 0;
        ends.map(move |end| {
            let part = &word[from..end];
            from = end + 1;
            part.trim_end_matches(',')
        })
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
    })
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

    fn only(config: &AmqpConfig) -> Address {
        let mut found = config.addresses().unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let config = config("amqp://isc:s3cret@mq.example:5673/team");
        let address = only(&config);
        assert_eq!(address.to_string(), "amqp://isc@mq.example:5673/team");
        assert!(!format!("{address:?} {config:?}").contains("s3cret"));
        let default = only(&AmqpConfig::default());
        assert_eq!(default.to_string(), "amqp://guest@127.0.0.1:5672/%2f");
    }

    #[test]
    fn a_wrong_address_names_the_key_and_never_the_password() {
        for url in [
            "http://isc:s3cret@mq",
            "amqp://isc:s3cret@mq:99999",
            "amqp://isc:s3cret@mq?heartbeat=s3cret",
            "isc:s3cret",
            "amqp://a:b@one/v;amqp://isc:s3cret@two/v",
            "amqp://a:b@one/v,isc:s3cret@two/v",
            "amqp://a:b@one/v?auth_mechanism=plain;amqp://isc:s3cret@two",
        ] {
            let error = config(url).addresses().unwrap_err().to_string();
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
        assert_eq!(only(&config).to_string(), "amqp://a@filed:1/x");
        config.url_file = Some("/nowhere/url".into());
        let error = config.addresses().unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/url") && error.contains("urlFile"),
            "{error}"
        );
    }

    #[test]
    fn several_addresses_stand_apart_by_commas_or_blanks() {
        let text = "amqp://a:x,y@one:1/v, amqp://b:z@two:2/v,amqp://c@three/v\n amqp://d@four/v";
        let found = config(text).addresses().unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "amqp://a@one:1/v",
                "amqp://b@two:2/v",
                "amqp://c@three:5672/v",
                "amqp://d@four:5672/v"
            ]
        );
        let error = config("  ").addresses().unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
    }

    #[test]
    fn an_encrypted_address_needs_to_know_whom_to_trust() {
        let error = config("amqp://a@one amqps://b:s3cret@two/v").addresses();
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("amqps://b@two:5671/v") && error.contains("amqp.tls.caFile"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
    }
}
