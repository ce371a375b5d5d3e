//! Where watchers are, and a connection to one of their addresses.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::time::timeout;
use tonic::{
    codegen::http::{Uri, uri::Scheme},
    transport::Endpoint,
};

use super::{Client, client};

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is asked for a sign of life that often; servers object to less than 10 s.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where watchers may be, checked; one of them leads.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    names: Vec<Name>,
}

/// One name of the configuration.
#[derive(Clone, Debug)]
struct Name {
    origin: Uri,
    host: String,
    port: u16,
}

/// One address of a name.
#[derive(Clone, Debug)]
pub(super) struct Address {
    origin: Uri,
    pub(super) at: SocketAddr,
}

/// Why the watcher cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The address is not one.
    #[error(
        "`watcher` is `{0}`: write it as in http://isc-watcher:7443, several with commas between them (https is \
         not supported)"
    )]
    Address(String),
    /// The name has no address.
    #[error("{watcher}: cannot resolve the name: {why}; check `watcher`")]
    Resolve {
        /// As configured.
        watcher: String,
        /// The cause.
        why: String,
    },
    /// Nothing answers there.
    #[error("{address}: cannot connect: {why}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// The cause.
        why: String,
    },
}

// === impl Watcher ===

impl Watcher {
    /// From one address, or several with commas between them.
    pub(crate) fn parse(text: &str) -> Result<Self, WatcherError> {
        let wrong = || WatcherError::Address(text.to_owned());
        let names = text.split(',').map(|name| Name::parse(name.trim()));
        let names: Option<Vec<Name>> = names.collect();
        names.map(|names| Self { names }).ok_or_else(wrong)
    }

    /// All addresses of all names. A name without any is no trouble where another one has some.
    pub(super) async fn resolve(&self) -> Result<Vec<Address>, WatcherError> {
        let (mut all, mut trouble) = (vec![], None);
        for name in &self.names {
            match name.resolve().await {
                Ok(found) => all.extend(found),
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if all.is_empty() => Err(error),
            _ => Ok(all),
        }
    }
}

// === impl Name ===

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let origin: Uri = text.parse().ok()?;
        let host = origin.host()?.trim_matches(['[', ']']).to_owned();
        let port = origin.port_u16()?;
        let plain = origin.scheme() == Some(&Scheme::HTTP);
        plain.then_some(Self { origin, host, port })
    }

    async fn resolve(&self) -> Result<Vec<Address>, WatcherError> {
        let failed = |why: String| WatcherError::Resolve {
            watcher: self.origin.to_string(),
            why,
        };
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found = timeout(RESOLVE_TIMEOUT, lookup).await;
        let seconds = RESOLVE_TIMEOUT.as_secs();
        let found = found.map_err(|_elapsed| failed(format!("no answer within {seconds} s")))?;
        let found = found.map_err(|error| failed(error.to_string()))?;
        let address = |at| Address {
            origin: self.origin.clone(),
            at,
        };
        Ok(found.map(address).collect())
    }
}

// === impl Address ===

impl Address {
    pub(super) async fn connect(&self) -> Result<Client, WatcherError> {
        let address = self.at;
        let failed = |why: String| WatcherError::Connect { address, why };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| failed(error.to_string()))?
            .origin(self.origin.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        match timeout(CONNECT_TIMEOUT, endpoint.connect()).await {
            Ok(Ok(channel)) => Ok(client(channel)),
            Ok(Err(error)) => Err(failed(innermost(&error))),
            Err(_) => Err(failed(format!(
                "no answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }
}

/// "transport error" helps nobody; what is inside does.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl fmt::Display for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.names.iter().map(|n| n.origin.to_string()).collect();
        f.write_str(&names.join(", "))
    }
}
