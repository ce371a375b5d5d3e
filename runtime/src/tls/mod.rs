//! TLS for everything that listens or connects: which files, how they are read again while a process runs,
//! and what went wrong in words.
//!
//! Certificates are short-lived: files are read again before each handshake and twice a minute, and the last
//! good ones stay in force until new ones are whole.

mod credentials;
mod explain;
mod material;
mod metrics;
mod names;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Deserialize;

pub use credentials::{ClientCredentials, Credentials, ServerCredentials};
pub use explain::explain;
pub use material::TlsError;
pub use metrics::{CertificateMetrics, Shown};
pub use names::Certificate;

/// How a server shows who it is, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerTlsConfig {
    /// The server's certificate and those between it and its authority, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key_file: PathBuf,
    /// The authorities that clients' certificates must come from, PEM. A client without one is not let in.
    pub ca_file: PathBuf,
}

/// Whom a client trusts, and how it shows who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientTlsConfig {
    /// The authorities that the server's certificate must come from, PEM. No others are trusted.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and those between it and its authority, PEM. Default: it shows none.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have. Default: the host of the address.
    pub server_name: Option<String>,
}
