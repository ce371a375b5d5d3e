//! Ports, with and without TLS, and connections from peers that have shown a certificate.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Handshakes at once: peers that stand still in theirs hold up no others before there are so many.
const HANDSHAKES: usize = 256;
/// Those of one address: one peer alone must not take them all.
const OF_ONE: usize = 16;
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
        let unfinished = Unfinished::default();
        let accepted = stream::unfold(listener, |listener| async {
            Some((accept(&listener).await, listener))
        });
        accepted
            .map(move |(stream, from)| {
                // Read for each, so that the newest files decide.
                let acceptor = TlsAcceptor::from(credentials.current());
                let place = unfinished.take(from.ip());
                async move {
                    let shaken = match place {
                        Some(_until_it_is_over) => shake(&acceptor, stream, section).await,
                        None => Err(format!("{OF_ONE} others of that address are under way")),
                    };
                    (from, shaken)
                }
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

/// The handshakes that are under way, by address.
#[derive(Clone, Default)]
struct Unfinished(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them.
struct UnderWay(Unfinished, IpAddr);

// === impl Unfinished ===

impl Unfinished {
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; none when that address has as many as it may.
    fn take(&self, of: IpAddr) -> Option<UnderWay> {
        let mut counts = self.counts();
        let count = counts.entry(of).or_default();
        if *count >= OF_ONE {
            return None;
        }
        *count += 1;
        Some(UnderWay(self.clone(), of))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_no_more_than_its_share_and_gives_back_what_is_over() {
        let unfinished = Unfinished::default();
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let mut taken: Vec<_> = (0..OF_ONE).filter_map(|_| unfinished.take(one)).collect();
        assert_eq!(taken.len(), OF_ONE);
        assert!(unfinished.take(one).is_none());
        assert!(unfinished.take(other).is_some());
        taken.pop();
        assert!(unfinished.take(one).is_some());
        drop(taken);
        assert!(unfinished.counts().is_empty());
    }
}
