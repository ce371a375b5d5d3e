//! Loopback helpers: free ports, a plain HTTP call, a TCP relay.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rand::RngExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

// Below the range from which the kernel takes the ports of outgoing connections, so that a port that is
// free now is not taken by some connection before its server binds it.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;
const HTTP_LIMIT: Duration = Duration::from_secs(10);

/// Treats each connection by itself, for ever.
pub async fn accept<F>(
    listener: tokio::net::TcpListener,
    connection: impl Fn(TcpStream) -> F + Send + 'static,
) where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // A broken connection is what its two ends see anyway.
                connections.spawn(connection(stream));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// A loopback address with a port that nobody listens on, handed out once per process.
///
/// # Errors
/// When no port of the range is free.
pub fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Somewhere else in every process, for several may look at the same time.
    let start = rand::rng().random_range(1..COUNT);
    let _already_set = NEXT.compare_exchange(0, start, Ordering::Relaxed, Ordering::Relaxed);
    for _ in 0..COUNT {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free loopback port from {FIRST} on")
}

/// One HTTP/1.1 call without TLS; `auth` is a ready `Authorization` value. Returns status code and body.
///
/// # Errors
/// When the server cannot be reached or does not answer in HTTP within ten seconds.
pub async fn http(
    method: &str,
    address: SocketAddr,
    path: &str,
    auth: Option<&str>,
) -> Result<(u16, String)> {
    let auth = auth
        .map(|a| format!("Authorization: {a}\r\n"))
        .unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{auth}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let text = tokio::time::timeout(HTTP_LIMIT, answer)
        .await
        .with_context(|| format!("{method} http://{address}{path}: no answer in time"))?
        .with_context(|| format!("{method} http://{address}{path}"))?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|c| c.parse().ok());
    let code =
        code.with_context(|| format!("{method} http://{address}{path}: not HTTP: {head}"))?;
    Ok((code, body.to_owned()))
}

/// Relays TCP connections from `listen` to `target` for as long as it lives.
#[derive(Debug)]
pub struct Relay {
    _tasks: JoinSet<()>,
}

// === impl Relay ===

impl Relay {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start(listen: SocketAddr, target: SocketAddr) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut inside, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut outside) = TcpStream::connect(target).await {
                        // A broken connection is what its two ends see anyway.
                        let _bytes = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                    }
                });
            }
        });
        Ok(Self { _tasks: tasks })
    }
}
