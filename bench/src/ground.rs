//! What a run stands on: kcp, RabbitMQ and bound workspaces, started once.

use std::{cell::Cell, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use isc_tests::{
    Environment, Metrics, Provider, Team, Who, identity,
    provider::EXPORT,
    servers::{Kcp, RabbitMq, check_room, secret},
    wait,
};
use kube::{
    Client,
    api::{DeleteParams, ListParams},
};
use tempfile::TempDir;

use crate::cores::Cores;

/// The vhost of everything that is measured.
pub(crate) const VHOST: &str = "bench";
/// Where kcp and everything else find their namespace.
pub(crate) const NAMESPACE: &str = "default";
/// Workspaces that are made at a time.
const AT_A_TIME: usize = 8;
/// A page of a list, as large as kube's watchers ask for it.
pub(crate) const PAGE: u32 = 500;
/// Everything is deleted within that time, however much there is.
const CLEAR_LIMIT: Duration = Duration::from_secs(1800);

/// Servers and workspaces. Everything ends when it is dropped.
pub(crate) struct Ground {
    pub(crate) env: Environment,
    pub(crate) provider: Provider,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) dir: PathBuf,
    /// Below which everything that is measured has its requests.
    pub(crate) endpoint: String,
    /// As the controller's user, below no workspace.
    pub(crate) everywhere: Client,
    /// As the one user that may read kcp's own metrics.
    shard: Client,
    numbers: Cell<u32>,
    // In this order: the servers end before their files.
    _kcp: Kcp,
    _rabbitmq: RabbitMq,
    _folder: TempDir,
}

/// A bound workspace.
#[derive(Clone)]
pub(crate) struct Tenant {
    /// Its admin, who asks.
    pub(crate) team: Team,
    /// The controller's own user, through the virtual workspace: whoever writes statuses comes this way.
    pub(crate) controller: Client,
    /// kcp's own user, who may write statuses straight to the workspace: twice as fast, and for nobody else.
    pub(crate) shard: Client,
}

// === impl Ground ===

impl Ground {
    /// Starts the servers and makes so many workspaces.
    ///
    /// # Errors
    /// When a program is missing or something does not start.
    pub(crate) async fn start(tenants: usize, cores: Cores) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("isc-bench-").tempdir()?;
        let dir = folder.path().canonicalize()?;
        check_room(&dir)?;
        let secret = secret();
        // A folder each, by which their processor time is found.
        let mut kcp = cores.start_kcp(|| Kcp::start(&dir.join("kcp"), &secret))?;
        let mut rabbitmq = RabbitMq::start(&dir.join("rabbitmq"), &secret)?;
        tokio::try_join!(kcp.ready(&secret), rabbitmq.ready())?;
        let env = Environment::of(&kcp, &rabbitmq, &secret);
        env.broker.create_vhost(VHOST).await?;
        let provider = Provider::create(&env, &dir, "bench").await?;
        // The slice has an endpoint once somebody has bound the export.
        let first = bound(&provider, 0).await?;
        let endpoint = provider.endpoint(EXPORT).await?;
        let mut ground = Self {
            everywhere: Who::Controller.client_of(&env, &endpoint).await?,
            endpoint,
            shard: identity::shard(&env, "").await?,
            env,
            provider,
            tenants: Vec::new(),
            dir,
            numbers: Cell::default(),
            _kcp: kcp,
            _rabbitmq: rabbitmq,
            _folder: folder,
        };
        let first = ground.tenant(first).await?;
        ground.tenants.push(first);
        ground.widen(tenants).await?;
        Ok(ground)
    }

    /// Makes more workspaces until there are that many.
    pub(crate) async fn widen(&mut self, tenants: usize) -> Result<()> {
        let numbers = stream::iter(self.tenants.len()..tenants);
        let ground = &*self;
        let made = numbers.map(async |number| {
            let team = bound(&ground.provider, number).await?;
            ground.tenant(team).await
        });
        let made: Vec<Tenant> = made.buffered(AT_A_TIME).try_collect().await?;
        self.tenants.extend(made);
        Ok(())
    }

    async fn tenant(&self, team: Team) -> Result<Tenant> {
        let url = format!("{}/clusters/{}", self.endpoint, team.cluster);
        let controller = Who::Controller.client_of(&self.env, &url).await?;
        let path = format!("/clusters/{}", team.cluster);
        let shard = identity::shard(&self.env, &path).await?;
        Ok(Tenant {
            team,
            controller,
            shard,
        })
    }

    /// A number that nobody else has.
    pub(crate) fn next(&self) -> u32 {
        self.numbers.replace(self.numbers.get() + 1)
    }

    /// What kcp counts of itself.
    pub(crate) async fn kcp_metrics(&self) -> Result<Metrics> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        Ok(Metrics::of(self.shard.request_text(request).await?))
    }

    /// Deletes every request.
    pub(crate) async fn clear(&self) -> Result<()> {
        let all = self.tenants.iter().map(async |tenant| {
            let api = tenant.team.requests(NAMESPACE);
            let what = format!("no requests are left in {}", tenant.team.path);
            wait::until(&what, CLEAR_LIMIT, async || {
                // A page at a time: all at once may take longer than a call may.
                let page = ListParams::default().limit(PAGE);
                api.delete_collection(&DeleteParams::default(), &page)
                    .await?;
                let left = api.list_metadata(&ListParams::default().limit(1)).await?;
                ensure!(left.items.is_empty(), "some are left");
                Ok(())
            })
            .await
        });
        futures::future::try_join_all(all).await?;
        Ok(())
    }

    /// Fails unless all requests have succeeded, and are that many.
    pub(crate) async fn succeeded(&self, count: usize) -> Result<()> {
        let mut found = 0;
        for tenant in &self.tenants {
            let api = tenant.team.requests(NAMESPACE);
            let mut page = ListParams::default().limit(PAGE);
            loop {
                let list = api.list(&page).await?;
                for request in &list.items {
                    let phase = &request.data["status"]["phase"];
                    let name = request.metadata.name.as_deref().unwrap_or_default();
                    ensure!(phase == "Succeeded", "{name} is {}", request.data["status"]);
                }
                found += list.items.len();
                match list.metadata.continue_.filter(|next| !next.is_empty()) {
                    Some(next) => page = page.continue_token(&next),
                    None => break,
                }
            }
        }
        ensure!(found == count, "{found} requests instead of {count}");
        Ok(())
    }
}

async fn bound(provider: &Provider, number: usize) -> Result<Team> {
    let team = provider.team(&format!("team-{number}"), Who::Alice).await?;
    team.bind().await?;
    Ok(team)
}
