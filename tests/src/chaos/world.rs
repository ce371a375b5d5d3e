//! Everything a run needs, of its own: kcp, RabbitMQ, workspaces, the product, and proxies between them.

use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{proxy::Proxy, setting::Setting};
use crate::{
    Environment, Process, Provider, Team, Watcher, Who, Worker, net, process,
    servers::{Kcp, RabbitMq, secret},
};

/// The lease of a run, seconds: short, so that many of them fit.
pub const LEASE: u64 = 6;
/// So many attempts may be lost before a request fails.
pub const LOST_MAX: u32 = 3;
pub(super) const VHOST: &str = "chaos";
/// Workspaces that are made at a time.
const AT_A_TIME: usize = 8;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Workspaces.
    pub workspaces: usize,
    /// Workers.
    pub workers: usize,
    /// Jobs that each of them runs at once.
    pub slots: u32,
    /// Whether services say how failures are tried again.
    pub retries: bool,
    /// Whether one limits what it runs at once.
    pub limits: bool,
}

/// A running world. Everything ends when it is dropped.
#[derive(Debug)]
pub struct World {
    /// Ledger, locks and everybody's files.
    pub dir: PathBuf,
    /// The servers, as they are reached past all proxies.
    pub env: Environment,
    /// kcp.
    pub kcp: Kcp,
    /// RabbitMQ.
    pub rabbitmq: RabbitMq,
    /// The workspace that exports the API, and where others are made.
    pub provider: Provider,
    /// The workspaces, bound.
    pub teams: Vec<Team>,
    /// The watcher.
    pub watcher: Watcher,
    /// The workers.
    pub workers: Vec<Worker>,
    /// The proxies.
    pub links: Links,
    /// Handles of what was killed: dropping one would end what is left of its group, which is the
    /// product's own task.
    pub graveyard: Vec<Process>,
    setting: Setting,
    _sweep: Sweep,
}

/// The proxies. Workers by number.
#[derive(Debug)]
pub struct Links {
    /// Watcher to kcp.
    pub kcp: Proxy,
    /// Watcher to RabbitMQ.
    pub watcher_broker: Proxy,
    /// Workers to RabbitMQ.
    pub worker_broker: Vec<Proxy>,
    /// Workers to the watcher.
    pub session: Vec<Proxy>,
}

/// Ends what outlived the rest.
#[derive(Debug)]
struct Sweep(PathBuf);

impl Drop for Sweep {
    fn drop(&mut self) {
        process::sweep(&self.0);
    }
}

// === impl World ===

impl World {
    /// Starts everything, with all files under `dir`, which must be empty.
    ///
    /// # Errors
    /// When a program is missing or something does not start.
    pub async fn start(dir: &Path, shape: Shape) -> Result<Self> {
        let sweep = Sweep(dir.to_owned());
        let secret = secret();
        let proxied = net::free_address()?;
        let mut rabbitmq = RabbitMq::start(dir, &secret)?;
        let mut kcp = Kcp::start_with(dir, &secret, |_api| {
            // The watcher finds its endpoint through the provider's workspace: there it finds the proxy.
            vec![format!("--shard-virtual-workspace-url=https://{proxied}")]
        })?;
        tokio::try_join!(kcp.ready(&secret), rabbitmq.ready())?;
        let env = Environment::of(&kcp, &rabbitmq, &secret);
        env.broker.create_vhost(VHOST).await?;
        let grpc = net::free_address()?;
        let links = Links::start(proxied, &env, grpc, shape.workers).await?;
        let provider = Provider::create(&env, dir, "chaos").await?;
        let setting = Setting::write(dir, &env, &provider, &links, grpc, shape)?;
        let teams = workspaces(&provider, 0..shape.workspaces).await?;
        let mut watcher = setting.watcher()?;
        let workers = (0..shape.workers).map(|number| setting.worker(number));
        let mut workers = workers.collect::<Result<Vec<_>>>()?;
        watcher.ready().await?;
        for worker in &mut workers {
            worker.ready().await?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            env,
            kcp,
            rabbitmq,
            provider,
            teams,
            watcher,
            workers,
            links,
            graveyard: Vec::new(),
            setting,
            _sweep: sweep,
        })
    }

    /// Makes more workspaces, bound, until there are that many.
    ///
    /// # Errors
    /// When kcp refuses a step for longer than a minute.
    pub async fn widen(&mut self, count: usize) -> Result<()> {
        let more = workspaces(&self.provider, self.teams.len()..count).await?;
        self.teams.extend(more);
        Ok(())
    }

    /// Starts another watcher in the place of one that has ended.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn next_watcher(&mut self) -> Result<()> {
        let old = std::mem::replace(&mut self.watcher, self.setting.watcher()?);
        self.graveyard.push(old.process);
        Ok(())
    }

    /// Starts another worker in the place of one that has ended.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn next_worker(&mut self, number: usize) -> Result<()> {
        let next = self.setting.worker(number)?;
        let old = std::mem::replace(&mut self.workers[number], next);
        self.graveyard.push(old.process);
        Ok(())
    }

    /// Every queue with what is in it: messages that wait and that are out.
    ///
    /// # Errors
    /// When RabbitMQ does not answer.
    pub async fn queues(&self) -> Result<Vec<(String, u64)>> {
        let path = format!("/api/queues/{VHOST}");
        let answer: Value = serde_json::from_str(&self.env.broker.call("GET", &path).await?)?;
        let queues = answer.as_array().context("a list of queues")?;
        let queue = |q: &Value| {
            let name = q["name"].as_str().unwrap_or_default().to_owned();
            (name, q["messages"].as_u64().unwrap_or(0))
        };
        Ok(queues.iter().map(queue).collect())
    }

    /// Removes every queue, or (`purge`) only what is in it.
    ///
    /// # Errors
    /// When RabbitMQ refuses.
    pub async fn wipe(&self, purge: bool) -> Result<()> {
        for (name, _) in self.queues().await? {
            let contents = if purge { "/contents" } else { "" };
            let path = format!("/api/queues/{VHOST}/{name}{contents}");
            self.env.broker.call("DELETE", &path).await?;
        }
        Ok(())
    }
}

async fn workspaces(provider: &Provider, numbers: Range<usize>) -> Result<Vec<Team>> {
    let numbers = stream::iter(numbers);
    let teams = numbers.map(|number| async move {
        let team = provider.team(&format!("team-{number}"), Who::Alice).await?;
        team.bind().await?;
        anyhow::Ok(team)
    });
    teams.buffered(AT_A_TIME).try_collect().await
}

// === impl Links ===

impl Links {
    async fn start(
        kcp: SocketAddr,
        env: &Environment,
        grpc: SocketAddr,
        workers: usize,
    ) -> Result<Self> {
        let api: SocketAddr = env.kcp_url.trim_start_matches("https://").parse()?;
        let (mut worker_broker, mut session) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            worker_broker.push(Proxy::start(net::free_address()?, env.broker.amqp).await?);
            session.push(Proxy::start(net::free_address()?, grpc).await?);
        }
        Ok(Self {
            kcp: Proxy::start(kcp, api).await?,
            watcher_broker: Proxy::start(net::free_address()?, env.broker.amqp).await?,
            worker_broker,
            session,
        })
    }
}
