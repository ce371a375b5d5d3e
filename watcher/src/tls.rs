//! Ports, with and without TLS, and connections from peers that have shown a certificate.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use isc_runtime::{
    nag::Nag,
    tls::{self, ServerCredentials},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Router, TcpIncoming};

use crate::metrics::Metrics;

/// A handshake may take so long.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once: peers that stand still in theirs hold up no others before there are so many.
const HANDSHAKES: usize = 256;
/// The pause after the system has refused a connection, as it does when file descriptors are short.
const REFUSED: Duration = Duration::from_millis(100);

/// A port that is open.
pub(crate) enum Listening {
    /// To everybody.
    Plain(TcpListener),
    /// To peers with certificates.
    Tls(Port),
}

/// A port that takes peers with certificates.
pub(crate) struct Port {
    /// Where they connect.
    pub(crate) listener: TcpListener,
    /// What both sides show.
    pub(crate) credentials: Arc<ServerCredentials>,
    /// The section of the files, as messages name it.
    pub(crate) section: &'static str,
    /// Who is expected, as in "workers with usable certificates".
    pub(crate) expected: &'static str,
    /// Counts the refused.
    pub(crate) metrics: Arc<Metrics>,
}

// === impl Listening ===

impl Listening {
    /// Serves what comes until cancelled.
    ///
    /// # Errors
    /// When the listener fails.
    pub(crate) async fn serve(
        self,
        server: Router,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let stop = stop.cancelled_owned();
        match self {
            Self::Plain(listener) => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                server.serve_with_incoming_shutdown(incoming, stop).await
            }
            Self::Tls(port) => {
                server
                    .serve_with_incoming_shutdown(port.incoming(), stop)
                    .await
            }
        }
    }
}

// === impl Port ===

impl Port {
    /// The connections whose handshake was fine. The others are counted, and told once a minute.
    pub(crate) fn incoming(self) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
        let Self {
            listener,
            credentials,
            section,
            expected,
            metrics,
        } = self;
        let mut nag = Nag::new(expected);
        let accepted = stream::unfold(listener, |listener| async {
            Some((accept(&listener).await, listener))
        });
        accepted
            .map(move |(stream, from)| {
                // Read for each, so that the newest files decide.
                let acceptor = TlsAcceptor::from(credentials.current());
                async move { (from, shake(&acceptor, stream, section).await) }
            })
            .buffer_unordered(HANDSHAKES)
            .filter_map(move |(from, shaken)| {
                let passed = shaken.inspect_err(|why| {
                    metrics.stream_refused("tls");
                    nag.trouble(&format!("a handshake from {} failed: {why}", from.ip()));
                });
                async { passed.ok().map(Ok) }
            })
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}

async fn shake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    section: &str,
) -> Result<TlsStream<TcpStream>, String> {
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(tls::explain(&error, section).unwrap_or_else(|| error.to_string())),
        Err(_) => Err(format!("no end within {} s", HANDSHAKE.as_secs())),
    }
}
