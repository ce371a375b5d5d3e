//! The servers, and on top of them the product: what demo, `up`, tests and benchmark run on.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Environment, Process, Provider, Team, Watcher, Who, Worker, isc, net,
    pki::{self, Authority},
    process,
    servers::{Kcp, RabbitMq, check_room, secret},
};

use crate::steps::Steps;

/// How long a process may take to end after SIGTERM; both drain for at most 30 seconds by default.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// kcp and RabbitMQ, ready.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) kcp: Kcp,
    pub(crate) rabbitmq: RabbitMq,
    secret: String,
}

/// Everything: servers, workspaces, a watcher and two workers.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) watcher: Watcher,
    pub(crate) workers: Vec<Worker>,
    /// `team-a` of alice and `team-b` of bob.
    pub(crate) teams: [Team; 2],
    pub(crate) servers: Servers,
    /// The public half of the key that only the workers can read.
    pub(crate) public_key: PathBuf,
    /// Where the service `publish` puts things.
    pub(crate) store: PathBuf,
    // Last: what is left when the rest has ended are jobs of killed workers.
    _sweep: Sweep,
}

/// Ends jobs that outlived their workers.
#[derive(Debug)]
struct Sweep(PathBuf);

// === impl Servers ===

impl Servers {
    /// Starts both at once, with their data under `dir`.
    pub(crate) async fn start(dir: &Path) -> Result<Self> {
        check_room(dir)?;
        let secret = secret();
        let mut kcp = Kcp::start(dir, &secret)?;
        let mut rabbitmq = RabbitMq::start(dir, &secret)?;
        tokio::try_join!(kcp.ready(&secret), rabbitmq.ready())?;
        Ok(Self {
            kcp,
            rabbitmq,
            secret,
        })
    }

    /// How to reach them.
    pub(crate) fn environment(&self) -> Environment {
        Environment::of(&self.kcp, &self.rabbitmq, &self.secret)
    }

    /// Returns only when one of them ended on its own.
    pub(crate) async fn watch(&mut self) -> anyhow::Error {
        loop {
            let alive = self
                .kcp
                .process
                .check_alive()
                .and(self.rabbitmq.process.check_alive());
            if let Err(error) = alive {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

// === impl Stack ===

impl Stack {
    /// Starts everything, with all files under `dir` and the workspaces under `root:<org>`.
    pub(crate) async fn start(
        dir: &Path,
        org: &str,
        services: &Path,
        steps: &mut Steps,
    ) -> Result<Self> {
        let sweep = Sweep(dir.to_owned());
        let servers = steps
            .step("kcp and RabbitMQ start", Servers::start(dir))
            .await?;
        let env = servers.environment();
        let label =
            format!("workspaces root:{org}:provider, :team-a and :team-b, API bound in both");
        let (provider, teams) = steps.step(&label, workspaces(&env, dir, org)).await?;
        let (private_key, public_key) = make_key(dir)?;
        let store = dir.join("store");
        std::fs::create_dir_all(&store)?;
        let grpc = net::free_address()?;
        let (amqp, tls) = (env.broker.url("%2f"), dir.join("tls"));
        let authority = Authority::new("isc-dev")?;
        let mut config = isc::watcher_config(services, &amqp, grpc);
        pki::secure_watcher(&mut config, &authority, &tls)?;
        pki::secure_broker(&mut config, &env.broker, "%2f");
        let mut watcher = Watcher::start(dir, "watcher", config, &provider.kubeconfig)?;
        let vars = [
            ("SIGN_KEY_FILE", private_key.as_path()),
            ("PUBLISH_DIR", store.as_path()),
        ];
        let worker = |name: &str| {
            let mut config = isc::worker_config(services, &amqp, grpc, name);
            pki::secure_worker(&mut config, &authority, &tls, &format!("{name}.workers"))?;
            pki::secure_broker(&mut config, &env.broker, "%2f");
            Worker::start(dir, config, &vars)
        };
        let mut workers = vec![worker("worker-1")?, worker("worker-2")?];
        let ready = async {
            watcher.ready().await?;
            for worker in &mut workers {
                worker.ready().await?;
            }
            Ok(())
        };
        steps
            .step(
                "a watcher and two workers start, every connection encrypted",
                ready,
            )
            .await?;
        Ok(Self {
            watcher,
            workers,
            teams,
            servers,
            public_key,
            store,
            _sweep: sweep,
        })
    }

    /// Returns only when a process of it ended on its own.
    pub(crate) async fn watch(&mut self) -> anyhow::Error {
        loop {
            let ended = self
                .processes()
                .into_iter()
                .find_map(|p| p.check_alive().err());
            if let Some(error) = ended {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// All long-lived processes.
    pub(crate) fn processes(&mut self) -> Vec<&mut Process> {
        let servers = [
            &mut self.servers.kcp.process,
            &mut self.servers.rabbitmq.process,
        ];
        let workers = self.workers.iter_mut().map(|w| &mut w.process);
        servers
            .into_iter()
            .chain([&mut self.watcher.process])
            .chain(workers)
            .collect()
    }

    /// Ends workers and watcher the way an operator would, and says whether they ended well.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        let workers = self
            .workers
            .iter_mut()
            .map(|w| w.process.terminate(DRAIN_LIMIT));
        for status in futures::future::try_join_all(workers).await? {
            ensure!(
                status.success(),
                "a worker ended with {status} after SIGTERM"
            );
        }
        let status = self.watcher.process.terminate(DRAIN_LIMIT).await?;
        ensure!(
            status.success(),
            "the watcher ended with {status} after SIGTERM"
        );
        Ok(())
    }
}

async fn workspaces(env: &Environment, dir: &Path, org: &str) -> Result<(Provider, [Team; 2])> {
    let provider = Provider::create(env, dir, org).await?;
    let (a, b) = tokio::try_join!(
        provider.team("team-a", Who::Alice),
        provider.team("team-b", Who::Bob)
    )?;
    tokio::try_join!(a.bind(), b.bind())?;
    Ok((provider, [a, b]))
}

/// Makes a signing key in a folder that only its owner can enter; returns the private and the public file.
fn make_key(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let private_dir = dir.join("worker-secrets");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&private_dir)?;
    let (private, public) = (
        private_dir.join("sign-key.pem"),
        dir.join("sign-public.pem"),
    );
    let private_text = private.display().to_string();
    let make = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
    ];
    openssl(&[&make[..], &[&private_text]].concat())?;
    openssl(&[
        "pkey",
        "-in",
        &private_text,
        "-pubout",
        "-out",
        &public.display().to_string(),
    ])?;
    Ok((private, public))
}

/// Runs openssl; returns what it printed.
pub(crate) fn openssl(args: &[&str]) -> Result<String> {
    let output = Command::new("openssl").args(args).output();
    let output = output.context("cannot run openssl: run scripts/setup.sh")?;
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success(),
        "openssl {}: {text} {errors}",
        args.join(" ")
    );
    Ok(text)
}

impl Drop for Sweep {
    fn drop(&mut self) {
        process::sweep(&self.0);
    }
}
