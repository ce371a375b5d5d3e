//! Where the watcher is, and a connection to one of its addresses.

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

/// The watcher's address, checked.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    origin: Uri,
    host: String,
    port: u16,
}

/// Why the watcher cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The address is not one.
    #[error("`watcher` is `{0}`: write it as in http://isc-watcher:7443 (https is not supported)")]
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
    pub(crate) fn parse(text: &str) -> Result<Self, WatcherError> {
        let wrong = || WatcherError::Address(text.to_owned());
        let origin: Uri = text.parse().map_err(|_| wrong())?;
        if origin.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong());
        }
        let host = origin.host().ok_or_else(wrong)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = origin.port_u16().ok_or_else(wrong)?;
        Ok(Self { origin, host, port })
    }

    /// All addresses of the name.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, WatcherError> {
        let failed = |why: String| WatcherError::Resolve {
            watcher: self.to_string(),
            why,
        };
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        match timeout(RESOLVE_TIMEOUT, lookup).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!(
                "no answer within {} s",
                RESOLVE_TIMEOUT.as_secs()
            ))),
        }
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Client, WatcherError> {
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
        write!(f, "{}", self.origin)
    }
}
