//! A TCP proxy that can be broken: cut, refuse, swallow, heal.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

const CHUNK: usize = 32 * 1024;

/// How a proxy treats its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// It forwards.
    #[default]
    Open,
    /// New connections are closed at once.
    Refuse,
    /// Nothing is forwarded and nothing is closed; what is under way arrives when it heals.
    Swallow,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    mode: Mode,
    /// Connections of an earlier generation are closed.
    generation: u64,
}

/// A running proxy from an address of its own to another one. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    _task: JoinSet<()>,
}

// === impl Proxy ===

impl Proxy {
    /// Begins to listen at `address`, for `target`.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start(address: SocketAddr, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen at {address}"))?;
        let (state, seen) = watch::channel(State::default());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, target, seen));
        Ok(Self {
            address,
            state,
            _task: task,
        })
    }

    /// Closes every connection; new ones are welcome.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Closes every connection, and new ones at once, until it heals.
    pub fn refuse(&self) {
        self.state.send_modify(|state| {
            state.generation += 1;
            state.mode = Mode::Refuse;
        });
    }

    /// Forwards nothing and closes nothing, until it heals.
    pub fn swallow(&self) {
        self.state.send_modify(|state| state.mode = Mode::Swallow);
    }

    /// Forwards again.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.mode = Mode::Open);
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((inside, _)) = accepted else { continue };
                let now = *state.borrow();
                if now.mode != Mode::Refuse {
                    connections.spawn(connection(inside, target, state.clone(), now.generation));
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// One connection, until an end closes it or it is cut.
async fn connection(
    inside: TcpStream,
    target: SocketAddr,
    state: watch::Receiver<State>,
    generation: u64,
) {
    let mut cut = state.clone();
    let forward = async {
        opened(state.clone()).await?;
        let outside = TcpStream::connect(target).await?;
        let (read_in, write_in) = inside.into_split();
        let (read_out, write_out) = outside.into_split();
        tokio::try_join!(
            one_way(read_in, write_out, state.clone()),
            one_way(read_out, write_in, state)
        )
        .map(|_both| ())
    };
    tokio::select! {
        // A broken connection is what its two ends see anyway.
        _broken = forward => {}
        _cut = cut.wait_for(|state| state.generation != generation) => {}
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await?;
        opened(state.clone()).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

async fn opened(mut state: watch::Receiver<State>) -> std::io::Result<()> {
    let opened = state.wait_for(|state| state.mode != Mode::Swallow).await;
    opened.map(|_state| ()).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net;

    /// A server that sends back what it gets, and a proxy before it.
    async fn echo() -> (Proxy, JoinSet<()>) {
        let address = net::free_address().unwrap();
        let server = TcpListener::bind(address).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = server.accept().await {
                connections.spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    let _bytes = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let proxy = Proxy::start(net::free_address().unwrap(), address).await;
        (proxy.unwrap(), tasks)
    }

    async fn answers(stream: &mut TcpStream) -> std::io::Result<bool> {
        stream.write_all(b"?").await?;
        let mut byte = [0];
        let answer = stream.read_exact(&mut byte);
        match tokio::time::timeout(Duration::from_millis(200), answer).await {
            Ok(answer) => answer.map(|_bytes| true),
            Err(_silence) => Ok(false),
        }
    }

    #[tokio::test]
    async fn a_swallowed_byte_arrives_when_the_proxy_heals() {
        let (proxy, _server) = echo().await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert!(answers(&mut stream).await.unwrap());
        proxy.swallow();
        assert!(!answers(&mut stream).await.unwrap());
        proxy.heal();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        assert!(answers(&mut stream).await.unwrap());
    }

    #[tokio::test]
    async fn a_cut_closes_what_is_there_and_welcomes_what_comes() {
        let (proxy, _server) = echo().await;
        let mut old = TcpStream::connect(proxy.address).await.unwrap();
        assert!(answers(&mut old).await.unwrap());
        proxy.cut();
        assert!(answers(&mut old).await.is_err());
        let mut new = TcpStream::connect(proxy.address).await.unwrap();
        assert!(answers(&mut new).await.unwrap());
    }

    #[tokio::test]
    async fn a_refusing_proxy_serves_nobody_until_it_heals() {
        let (proxy, _server) = echo().await;
        let mut old = TcpStream::connect(proxy.address).await.unwrap();
        assert!(answers(&mut old).await.unwrap());
        proxy.refuse();
        assert!(answers(&mut old).await.is_err());
        let mut refused = TcpStream::connect(proxy.address).await.unwrap();
        assert!(answers(&mut refused).await.is_err());
        proxy.heal();
        let mut new = TcpStream::connect(proxy.address).await.unwrap();
        assert!(answers(&mut new).await.unwrap());
    }
}
