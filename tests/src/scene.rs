//! The frame of an end-to-end test: everything fresh for it, everything ended after it, and what a person
//! needs to see when it fails.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures::FutureExt as _;
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::{Environment, Provider, Team, Watcher, Who, Worker, isc, net, process, wait};

/// How many tests share the two servers at a time.
const AT_A_TIME: usize = 4;
const TEST_LIMIT: Duration = Duration::from_secs(240);

/// One test's own world: a provider, a team that has bound the API, a vhost, a folder of services.
#[derive(Debug)]
pub struct Scene {
    /// The servers.
    pub env: Environment,
    /// The test's files: services, configurations, logs.
    pub dir: PathBuf,
    /// The provider's side.
    pub provider: Provider,
    /// `team-a`, bound, with alice as its admin.
    pub team: Team,
    /// The vhost's name.
    pub vhost: String,
    /// The URL of the vhost.
    pub amqp: String,
    /// Where the watcher serves workers, whether it runs or not.
    pub grpc: SocketAddr,
}

/// Runs a test in a scene of its own.
///
/// # Errors
/// The test's own error, or that its surroundings could not be made. Logs and requests are printed then.
pub fn run(test: impl AsyncFnOnce(&mut Scene) -> Result<()>) -> Result<()> {
    let env = Environment::from_vars()?;
    let _turn = Turn::take();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::Builder::new().prefix("isc-test-").tempdir()?;
    let dir = folder.path().canonicalize()?;
    let result = runtime.block_on(within(&env, &dir, test));
    process::sweep(&dir);
    if result.as_ref().map_or(true, Result::is_err) && std::env::var_os("ISCDEV_KEEP").is_some() {
        eprintln!("kept {}", folder.keep().display());
    }
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn within(
    env: &Environment,
    dir: &Path,
    test: impl AsyncFnOnce(&mut Scene) -> Result<()>,
) -> std::thread::Result<Result<()>> {
    let mut scene = match Scene::create(env, dir).await {
        Ok(scene) => scene,
        Err(error) => return Ok(Err(error.context("the surroundings of the test"))),
    };
    let limited = tokio::time::timeout(TEST_LIMIT, test(&mut scene));
    let result = AssertUnwindSafe(limited)
        .catch_unwind()
        .await
        .map(|in_time| {
            in_time.with_context(|| format!("the test took over {} s", TEST_LIMIT.as_secs()))?
        });
    if result.as_ref().map_or(true, Result::is_err) {
        eprintln!("{}", scene.dump().await);
    }
    if let Err(error) = env.broker.delete_vhost(&scene.vhost).await {
        eprintln!("a vhost stays: {error:#}");
    }
    result
}

// === impl Scene ===

impl Scene {
    async fn create(env: &Environment, dir: &Path) -> Result<Self> {
        let name = format!("t{:08x}", rand::rng().random::<u32>());
        env.broker.create_vhost(&name).await?;
        let provider = Provider::create(env, dir, &name).await?;
        let team = provider.team("team-a", Who::Alice).await?;
        team.bind().await?;
        std::fs::create_dir(dir.join("services"))?;
        let scene = Self {
            env: env.clone(),
            dir: dir.to_owned(),
            provider,
            team,
            amqp: env.broker.url(&name),
            vhost: name,
            grpc: net::free_address()?,
        };
        scene.service("echo", "cp \"$ISC_PARAMS\" \"$ISC_RESULT\"")?;
        Ok(scene)
    }

    /// A second team, `team-b`, bound, with bob as its admin.
    ///
    /// # Errors
    /// When kcp refuses a step for longer than a minute.
    pub async fn team_b(&self) -> Result<Team> {
        let team = self.provider.team("team-b", Who::Bob).await?;
        team.bind().await?;
        Ok(team)
    }

    /// The folder of the services. There is one from the start: `echo` returns its parameters.
    #[must_use]
    pub fn services(&self) -> PathBuf {
        self.dir.join("services")
    }

    /// Adds a service that runs a line of shell.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn service(&self, name: &str, script: &str) -> Result<()> {
        self.service_with(name, script, "")
    }

    /// Adds a service that runs a line of shell, with more lines of YAML at the top level.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn service_with(&self, name: &str, script: &str, more: &str) -> Result<()> {
        let command = serde_json::to_string(&["/bin/sh", "-c", script])?;
        let text = format!("exec:\n  command: {command}\n  graceSeconds: 1\n{more}\n");
        Ok(std::fs::write(
            self.services().join(format!("{name}.yaml")),
            text,
        )?)
    }

    /// The configuration of this scene's watcher.
    #[must_use]
    pub fn watcher_config(&self) -> Value {
        isc::watcher_config(&self.services(), &self.amqp, self.grpc)
    }

    /// The configuration of a worker of this scene.
    #[must_use]
    pub fn worker_config(&self, name: &str) -> Value {
        isc::worker_config(&self.services(), &self.amqp, self.grpc, name)
    }

    /// Starts a watcher and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn watcher(&self) -> Result<Watcher> {
        let mut watcher = self.start_watcher(self.watcher_config())?;
        watcher.ready().await?;
        Ok(watcher)
    }

    /// Starts a watcher with a short lease and waits until it is ready: for tests that have requests
    /// waiting before it starts.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn eager_watcher(&self) -> Result<Watcher> {
        let mut config = self.watcher_config();
        isc::shorten_lease(&mut config);
        let mut watcher = self.start_watcher(config)?;
        watcher.ready().await?;
        Ok(watcher)
    }

    /// Starts a watcher with a configuration of its own, without waiting.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start_watcher(&self, config: Value) -> Result<Watcher> {
        Watcher::start(&self.dir, "watcher", config, &self.provider.kubeconfig)
    }

    /// Asks for a job of the service `echo` under that name, and waits until it has succeeded.
    ///
    /// # Errors
    /// When it ends otherwise, or not at all.
    pub async fn succeeds(&self, name: &str) -> Result<()> {
        self.team.ask(name, "echo", json!({"a": name})).await?;
        let status = self.team.wait_end(name).await?;
        ensure!(status["phase"] == "Succeeded", "{name}: {status}");
        ensure!(status["result"] == json!({"a": name}), "{name}: {status}");
        Ok(())
    }

    /// Starts a worker and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn worker(&self, name: &str) -> Result<Worker> {
        let mut worker = self.start_worker(self.worker_config(name))?;
        worker.ready().await?;
        Ok(worker)
    }

    /// Starts a worker with a configuration of its own, without waiting.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start_worker(&self, config: Value) -> Result<Worker> {
        Worker::start(&self.dir, config, &[])
    }

    /// Waits until jobs have written a file of that name into the scene's folder: services that want to
    /// be seen write to `$ISC_SERVICE_DIR/../<name>`.
    ///
    /// # Errors
    /// After a minute.
    pub async fn file(&self, name: &str) -> Result<String> {
        let path = self.dir.join(name);
        wait::until(&format!("a job writes {name}"), wait::USUAL, async || {
            Ok(std::fs::read_to_string(&path)?)
        })
        .await
    }

    /// Logs and requests, for a failed test.
    async fn dump(&self) -> String {
        let mut text = String::from("======== what was there when the test failed\n");
        let listing = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let logs = listing
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "log"));
        for log in logs {
            let content = std::fs::read(&log).unwrap_or_default();
            let content = String::from_utf8_lossy(&content);
            let lines: Vec<_> = content.lines().collect();
            let last = lines[lines.len().saturating_sub(80)..].join("\n");
            let _infallible = writeln!(text, "--- {}\n{last}", log.display());
        }
        let (requests, all) = (
            self.team.requests("default"),
            kube::api::ListParams::default(),
        );
        let list = tokio::time::timeout(Duration::from_secs(10), requests.list(&all)).await;
        if let Ok(Ok(list)) = list {
            for request in list {
                let name = request.metadata.name.unwrap_or_default();
                let _infallible = writeln!(text, "--- team-a {name}: {}", request.data["status"]);
            }
        }
        text + "========"
    }
}

/// One of the turns that let a few tests run at a time.
struct Turn;

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

// === impl Turn ===

impl Turn {
    fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = GIVEN_BACK.wait_while(taken, |taken| *taken >= AT_A_TIME);
        *wait.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        GIVEN_BACK.notify_one();
    }
}
