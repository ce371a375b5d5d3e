//! Where watchers are, and a connection to one of their addresses.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use isc_runtime::tls::{self, CertificateMetrics, ClientCredentials, ClientTlsConfig, TlsError};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};
use tonic::{
    codegen::http::{Uri, uri::Scheme},
    transport::Endpoint,
};

use super::{
    Client, client,
    explained::{Explained, Why},
};

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is asked for a sign of life that often; servers object to less than 10 s.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The section of the worker's certificate, as messages name it.
pub(super) const TLS_SECTION: &str = "watcherTls";

/// Where watchers may be, checked; one of them leads.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    names: Vec<Name>,
    /// None where the addresses are not encrypted.
    tls: Option<Tls>,
}

/// Whom to trust, and who we are.
#[derive(Clone, Debug)]
struct Tls {
    credentials: Arc<ClientCredentials>,
    name: Option<ServerName<'static>>,
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
    host: String,
    tls: Option<Tls>,
    pub(super) at: SocketAddr,
}

/// Why the watcher cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The address is not one.
    #[error(
        "`watcher` is `{0}`: write it as in https://isc-watcher:7443, several with commas between them, and all \
         https:// or all http://"
    )]
    Address(String),
    /// An encrypted address without anybody to trust, or the other way round.
    #[error("`watcher` is `{watcher}`: {why}")]
    Scheme {
        /// As configured.
        watcher: String,
        /// What is missing.
        why: &'static str,
    },
    /// The name of the server is none.
    #[error("`watcherTls.serverName` is `{0}`: write it as in isc-watcher")]
    ServerName(String),
    /// The files of `watcherTls` cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    /// From one address, or several with commas between them; with the files of encrypted ones.
    pub(crate) fn new(
        text: &str,
        tls: Option<&ClientTlsConfig>,
        metrics: &CertificateMetrics,
    ) -> Result<Self, WatcherError> {
        let wrong = || WatcherError::Address(text.to_owned());
        let scheme = |why| WatcherError::Scheme {
            watcher: text.to_owned(),
            why,
        };
        let names = text.split(',').map(|name| Name::parse(name.trim()));
        let names: Vec<Name> = names.collect::<Option<_>>().ok_or_else(wrong)?;
        let encrypted = names.iter().filter(|name| name.is_encrypted()).count();
        if encrypted != 0 && encrypted != names.len() {
            return Err(wrong());
        }
        let tls = match (encrypted != 0, tls) {
            (true, Some(config)) => Some(Tls::new(config, metrics)?),
            (false, None) => None,
            (true, None) => {
                return Err(scheme(
                    "it is encrypted, but `watcherTls` is missing: name `caFile`, `certFile` and `keyFile` there; \
                     http:// is for networks that are trusted themselves",
                ));
            }
            (false, Some(_)) => {
                return Err(scheme(
                    "`watcherTls` is there, but it is not encrypted: write https://",
                ));
            }
        };
        Ok(Self { names, tls })
    }

    #[cfg(test)]
    pub(crate) fn plain(text: &str) -> Self {
        Self::new(text, None, &CertificateMetrics::default()).expect("an address")
    }

    /// What has to be kept fresh.
    pub(crate) fn credentials(&self) -> Option<Arc<ClientCredentials>> {
        self.tls.as_ref().map(|tls| tls.credentials.clone())
    }

    /// All addresses of all names. A name without any is no trouble where another one has some.
    pub(super) async fn resolve(&self) -> Result<Vec<Address>, WatcherError> {
        let (mut all, mut trouble) = (vec![], None);
        for name in &self.names {
            match name.resolve(self.tls.as_ref()).await {
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

// === impl Tls ===

impl Tls {
    fn new(config: &ClientTlsConfig, metrics: &CertificateMetrics) -> Result<Self, WatcherError> {
        let name = config.server_name.as_ref().map(|name| {
            ServerName::try_from(name.clone())
                .map_err(|_not_shown| WatcherError::ServerName(name.clone()))
        });
        let shown = metrics.of("watcher", config.cert_file.is_some());
        Ok(Self {
            name: name.transpose()?,
            credentials: Arc::new(ClientCredentials::client(TLS_SECTION, config, shown)?),
        })
    }

    /// The library's configuration as it is now, for gRPC.
    fn current(&self) -> Arc<ClientConfig> {
        let mut config = self.credentials.current();
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

// === impl Name ===

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let origin: Uri = text.parse().ok()?;
        let host = origin.host()?.trim_matches(['[', ']']).to_owned();
        let port = origin.port_u16()?;
        let known = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&origin.scheme());
        known.then_some(Self { origin, host, port })
    }

    fn is_encrypted(&self) -> bool {
        self.origin.scheme() == Some(&Scheme::HTTPS)
    }

    async fn resolve(&self, tls: Option<&Tls>) -> Result<Vec<Address>, WatcherError> {
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
            host: self.host.clone(),
            tls: tls.cloned(),
            at,
        };
        Ok(found.map(address).collect())
    }
}

// === impl Address ===

impl Address {
    /// A client; where the connection is encrypted, what ends it is noted in `why`.
    pub(super) async fn connect(&self, why: &Why) -> Result<Client, WatcherError> {
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
        let connected = timeout(CONNECT_TIMEOUT, async {
            let Some(tls) = &self.tls else {
                return endpoint.connect().await;
            };
            let all = (self.clone(), tls.clone(), why.clone());
            let connector = tower::service_fn(move |_uri: Uri| {
                let (own, tls, why) = all.clone();
                async move {
                    let stream = own.secure(&tls).await?;
                    Ok::<_, io::Error>(TokioIo::new(Explained::new(stream, why)))
                }
            });
            endpoint.connect_with_connector(connector).await
        });
        match connected.await {
            Ok(Ok(channel)) => Ok(client(channel)),
            Ok(Err(error)) => Err(failed(innermost(&error))),
            Err(_) => Err(failed(format!(
                "no answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }

    async fn secure(&self, tls: &Tls) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.at).await?;
        stream.set_nodelay(true)?;
        let name = match &tls.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(self.host.clone()).map_err(io::Error::other)?,
        };
        TlsConnector::from(tls.current())
            .connect(name, stream)
            .await
    }
}

/// "transport error" helps nobody; what is inside does.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(words) = tls::explain(error, TLS_SECTION) {
        return words;
    }
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
