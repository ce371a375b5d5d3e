//! The way out of a company: a proxy that lets nobody out but by CONNECT, knows names that nobody else knows, may
//! ask for a password, and forgets tunnels in which nothing moves.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{environment::base64, net};

/// How a tunnel ends in which nothing moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// Both ends are told.
    Close,
    /// Both ends are told rudely.
    Reset,
    /// Nobody is told: what is sent comes nowhere.
    Silently,
}

/// What a proxy does.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Tunnels in which nothing moved for so long are forgotten.
    pub idle: Option<(Duration, Forget)>,
    /// `user:password`, when it asks for them.
    pub login: Option<&'static str>,
    /// A host that it knows, and where that is.
    pub knows: Option<(&'static str, SocketAddr)>,
}

#[derive(Debug, Default)]
struct Seen {
    tunnels: Vec<String>,
    open: BTreeSet<usize>,
    turned_away: usize,
    forgotten: usize,
}

/// A running proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct Outlet {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Shared,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Debug)]
struct Shared {
    rules: Rules,
    seen: Arc<Mutex<Seen>>,
}

// === impl Outlet ===

impl Outlet {
    /// Begins to listen.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(rules: Rules) -> Result<Self> {
        let address = net::free_address()?;
        let listener = TcpListener::bind(address).await?;
        let shared = Shared {
            rules,
            seen: Arc::default(),
        };
        let mut tasks = JoinSet::new();
        let each = shared.clone();
        tasks.spawn(net::accept(listener, move |stream| {
            each.clone().connection(stream)
        }));
        Ok(Self {
            address,
            shared,
            _tasks: tasks,
        })
    }

    /// Its URL, without a login.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where tunnels were opened to, each `host:port`.
    #[must_use]
    pub fn tunnels(&self) -> Vec<String> {
        self.shared.lock().tunnels.clone()
    }

    /// The numbers of the tunnels that lead somewhere now.
    #[must_use]
    pub fn open(&self) -> BTreeSet<usize> {
        self.shared.lock().open.clone()
    }

    /// How many came without the right login.
    #[must_use]
    pub fn turned_away(&self) -> usize {
        self.shared.lock().turned_away
    }

    /// How many tunnels it forgot.
    #[must_use]
    pub fn forgotten(&self) -> usize {
        self.shared.lock().forgotten
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(self, mut inside: TcpStream) -> Result<()> {
        let head = head(&mut inside).await?;
        let target = head
            .strip_prefix("CONNECT ")
            .and_then(|rest| rest.split(' ').next());
        let Some(target) = target else {
            let answer = b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n";
            return Ok(inside.write_all(answer).await?);
        };
        if let Some(login) = self.rules.login {
            let wanted = format!("Basic {}", base64(login.as_bytes()));
            let is_it = |line: &str| {
                let header = line.split_once(": ");
                header.is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case("proxy-authorization") && value == wanted
                })
            };
            if !head.lines().any(is_it) {
                self.lock().turned_away += 1;
                let answer = b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=\"out\"\r\nContent-Length: 0\r\n\r\n";
                return Ok(inside.write_all(answer).await?);
            }
        }
        let (host, _port) = target.rsplit_once(':').context("a port")?;
        let opened = match self.rules.knows {
            Some((known, address)) if known == host => TcpStream::connect(address).await,
            _ => TcpStream::connect(target).await,
        };
        let number = self.opened(target);
        let Ok(mut outside) = opened else {
            let answer = b"HTTP/1.1 502 Nobody there\r\nContent-Length: 0\r\n\r\n";
            return Ok(inside.write_all(answer).await?);
        };
        inside.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
        self.lock().open.insert(number);
        let led = self.tunnel(&mut inside, &mut outside).await;
        self.lock().open.remove(&number);
        if led? {
            self.forget(inside, outside).await?;
        }
        Ok(())
    }

    fn opened(&self, target: &str) -> usize {
        let mut seen = self.lock();
        seen.tunnels.push(target.to_owned());
        seen.tunnels.len() - 1
    }

    /// Leads until one end closes it (false), or nothing has moved for too long.
    async fn tunnel(&self, inside: &mut TcpStream, outside: &mut TcpStream) -> Result<bool> {
        let limit = self.rules.idle.map_or(Duration::MAX, |(limit, _how)| limit);
        let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        loop {
            tokio::select! {
                read = inside.read(&mut up) => match read? {
                    0 => return Ok(false),
                    n => outside.write_all(&up[..n]).await?,
                },
                read = outside.read(&mut down) => match read? {
                    0 => return Ok(false),
                    n => inside.write_all(&down[..n]).await?,
                },
                () = tokio::time::sleep(limit) => return Ok(true),
            }
        }
    }

    async fn forget(&self, inside: TcpStream, outside: TcpStream) -> Result<()> {
        self.lock().forgotten += 1;
        let how = self.rules.idle.map_or(Forget::Close, |(_limit, how)| how);
        match how {
            Forget::Close => {}
            Forget::Reset => {
                inside.set_zero_linger()?;
                outside.set_zero_linger()?;
            }
            // Both stay open, and nobody reads.
            Forget::Silently => std::future::pending().await,
        }
        Ok(())
    }
}

/// The head of a request; nothing follows it before the answer.
async fn head(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await? == 0 {
            anyhow::bail!("it ended before it asked");
        }
    }
    Ok(String::from_utf8(bytes)?)
}
