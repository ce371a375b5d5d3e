//! The socket under the client library, kept at hand so that it can be cut.
//!
//! The library waits without end for a peer that accepts and then says nothing, on a thread of its own
//! each time; giving up its future alone would leave the thread behind.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    tcp::RustlsConnector,
    uri::{AMQPScheme, AMQPUri},
};

/// What an encrypted connection uses.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<rustls::ClientConfig>,
    /// The name that the broker's certificate must have, where it is not the host's.
    pub(super) name: Option<String>,
}

/// A second handle to a connection's socket. Dropping it cuts the connection.
#[derive(Debug, Default)]
pub(super) struct Socket(Mutex<Option<TcpStream>>);

/// Connects. The socket is cut when the future is dropped, and `limit` bounds what happens before there
/// is one.
pub(super) async fn connect(
    uri: AMQPUri,
    tls: Option<Tls>,
    properties: ConnectionProperties,
    limit: Duration,
) -> lapin::Result<(Connection, Arc<Socket>)> {
    let socket = Arc::new(Socket::default());
    // Weak: whoever gives up takes the only strong handle along.
    let kept = Arc::downgrade(&socket);
    let runtime = lapin::runtime::default_runtime()?;
    // The one that the library passes in is the same; its type has no name that is ours to use.
    let ours = runtime.clone();
    let open = async move |uri: AMQPUri, _same| {
        let runtime = &ours;
        let connect = async {
            let authority = &uri.authority;
            let addresses = runtime.to_socket_addrs((authority.host.clone(), authority.port));
            let stream = AsyncTcpStream::connect(runtime, addresses).await?;
            let gone = || std::io::Error::other("given up");
            if let AsyncTcpStream::Plain(plain) = &stream {
                let handle = plain.get_ref().as_fd().try_clone_to_owned()?;
                kept.upgrade().ok_or_else(gone)?.keep(handle.into());
            }
            match uri.scheme {
                AMQPScheme::AMQP => Ok(stream),
                AMQPScheme::AMQPS => {
                    let tls = tls
                        .as_ref()
                        .ok_or_else(|| std::io::Error::other("no `tls`"))?;
                    let name = tls.name.as_ref().unwrap_or(&authority.host);
                    let connector = RustlsConnector::from(tls.config.clone());
                    stream.into_rustls(&connector, name).await
                }
            }
        };
        match tokio::time::timeout(limit, connect).await {
            Ok(connected) => connected.map_err(lapin::Error::from),
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    };
    let connection = Connection::connector(uri, runtime, open, properties).await?;
    Ok((connection, socket))
}

// === impl Socket ===

impl Socket {
    fn keep(&self, stream: TcpStream) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(stream);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let kept = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // An error says that it is cut already.
        let _already = kept.take().map(|stream| stream.shutdown(Shutdown::Both));
    }
}
