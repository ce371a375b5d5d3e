//! Where the collector is, and a channel to it.

use std::{io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    codegen::http::{Uri, uri::Scheme},
    transport::{Channel, Endpoint},
};

use super::TraceError;
use crate::tls::{self, CertificateMetrics, ClientCredentials, ClientTlsConfig};

/// A connection with its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is asked for a sign of life that often: a collector that is gone without a word is found.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The section of the certificates, as messages name it.
const TLS_SECTION: &str = "tracing.tls";

/// Where spans are sent, and how many of the traces; checked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Collector {
    pub(super) place: Place,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) ratio: f64,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    origin: Uri,
    /// The same without encryption: the library's own TLS, which reads its files once, must not be asked for.
    plain: Uri,
    host: String,
    port: u16,
}

/// Whom to trust there, and who we are.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) credentials: ClientCredentials,
    name: ServerName<'static>,
}

// === impl Collector ===

impl Collector {
    /// A channel that connects when it is used.
    pub(super) fn channel(&self) -> Channel {
        let place = self.place.clone();
        let endpoint = Endpoint::from(place.plain)
            .origin(place.origin)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .tcp_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            return endpoint.connect_lazy();
        };
        let address = (place.host, place.port);
        let connector = tower::service_fn(move |_uri: Uri| {
            let (tls, address) = (tls.clone(), address.clone());
            async move { tls.connect(address).await.map(TokioIo::new) }
        });
        endpoint.connect_with_connector_lazy(connector)
    }
}

// === impl Place ===

impl Place {
    /// From `http://host:port` or `https://host:port`; none when it is neither.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let origin: Uri = text.parse().ok()?;
        let host = origin.host()?.trim_matches(['[', ']']).to_owned();
        let port = origin.port_u16()?;
        let known = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&origin.scheme());
        let bare = origin.path() == "/" && origin.query().is_none();
        let plain = format!("http://{}", origin.authority()?).parse().ok()?;
        (known && bare && !host.is_empty()).then_some(Self {
            origin,
            plain,
            host,
            port,
        })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.origin.scheme() == Some(&Scheme::HTTPS)
    }
}

// === impl Tls ===

impl Tls {
    pub(super) fn new(
        config: &ClientTlsConfig,
        place: &Place,
        metrics: &CertificateMetrics,
    ) -> Result<Self, TraceError> {
        let name = config.server_name.as_ref().unwrap_or(&place.host);
        let wrong = |_not_shown| TraceError::ServerName(name.clone());
        let shown = metrics.of("tracing", config.cert_file.is_some());
        Ok(Self {
            name: ServerName::try_from(name.clone()).map_err(wrong)?,
            credentials: ClientCredentials::client(TLS_SECTION, config, shown)?,
        })
    }

    async fn connect(&self, address: (String, u16)) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut config = self.credentials.current();
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(config);
        let connected = connector.connect(self.name.clone(), stream).await;
        connected.map_err(|error| {
            let words = tls::explain(&error, TLS_SECTION);
            words.map_or(error, io::Error::other)
        })
    }
}
