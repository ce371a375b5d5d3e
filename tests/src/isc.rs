//! The product's processes: `isc-watcher` and `isc-worker` with configurations written for them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    Metrics, net,
    process::{Launch, Process},
    wait,
};

/// A running watcher.
#[derive(Debug)]
pub struct Watcher {
    /// The process.
    pub process: Process,
    /// Its admin server.
    pub admin: SocketAddr,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub process: Process,
    /// Its admin server.
    pub admin: SocketAddr,
}

/// The program `isc-watcher` or `isc-worker`: next to this process's own program, or where
/// `$ISCDEV_BIN` points.
///
/// # Errors
/// When it was not built.
pub fn program(name: &str) -> Result<PathBuf> {
    let folder = if let Some(folder) = std::env::var_os("ISCDEV_BIN") {
        PathBuf::from(folder)
    } else {
        let own = std::env::current_exe()?;
        let folder = own.parent().unwrap_or(Path::new("."));
        // Test programs live one level deeper.
        let deps = folder.ends_with("deps");
        folder
            .parent()
            .filter(|_| deps)
            .unwrap_or(folder)
            .to_owned()
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{} is not built: run `make build` (or `make test`, which does)",
            path.display()
        );
    }
    Ok(path)
}

/// The same of the version before this one: where `$ISCDEV_OLD_BIN` points (`make upgrade-test`), else this one.
///
/// # Errors
/// When it was not built.
pub fn old_program(name: &str) -> Result<PathBuf> {
    match std::env::var_os("ISCDEV_OLD_BIN") {
        Some(folder) => Ok(PathBuf::from(folder).join(name)),
        None => program(name),
    }
}

/// A watcher's configuration: loopback addresses, nobody waits for an unknown service, everything else by
/// default.
#[must_use]
pub fn watcher_config(services: &Path, amqp: &str, grpc: SocketAddr) -> Value {
    json!({
        "instance": "isc",
        "servicesDir": services,
        // Everybody may ask for everything, unless a test says otherwise.
        "policy": {"rules": [{"name": "everybody", "effect": "accept"}]},
        "amqp": {"url": amqp},
        "grpc": {"listen": grpc, "plaintext": true},
        "unknownServiceSeconds": 0,
        "log": {"filter": "info,isc_watcher=debug,isc_runtime=debug"},
    })
}

/// A worker's configuration: loopback addresses, everything else by default.
#[must_use]
pub fn worker_config(services: &Path, amqp: &str, grpc: SocketAddr, name: &str) -> Value {
    json!({
        "name": name,
        "watcher": format!("http://{grpc}"),
        "servicesDir": services,
        "amqp": {"url": amqp},
        "log": {"filter": "info,isc_worker=debug,isc_runtime=debug"},
    })
}

/// Sets a key on the way to `start`: `set(&mut config, "lease.seconds", 5)`.
///
/// Levels that are missing are made.
pub fn set(config: &mut Value, key: &str, value: impl Into<Value>) {
    let pointer = key.split('.').fold(config, |level, part| &mut level[part]);
    *pointer = value.into();
}

/// Makes the lease short. A watcher grants nothing that it found at its start for one lease period, so
/// tests that have something waiting then would wait for half a minute.
pub fn shorten_lease(watcher_config: &mut Value) {
    set(watcher_config, "lease.seconds", 5);
    set(watcher_config, "lease.heartbeatSeconds", 1);
}

// === impl Watcher ===

impl Watcher {
    /// Starts a watcher with its files in `dir`; an admin port is added to the configuration.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start(dir: &Path, name: &str, config: Value, kubeconfig: &Path) -> Result<Self> {
        let vars = [("KUBECONFIG", &*kubeconfig.to_string_lossy())];
        Self::start_with(&program("isc-watcher")?, (dir, name), config, &vars)
    }

    /// The same, of a certain program.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start_as(
        program: &Path,
        place: (&Path, &str),
        config: Value,
        kubeconfig: &Path,
    ) -> Result<Self> {
        let vars = [("KUBECONFIG", &*kubeconfig.to_string_lossy())];
        Self::start_with(program, place, config, &vars)
    }

    /// The same, with these variables in its environment.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start_with(
        program: &Path,
        (dir, name): (&Path, &str),
        mut config: Value,
        vars: &[(&str, &str)],
    ) -> Result<Self> {
        let admin = net::free_address()?;
        set(&mut config, "admin.listen", admin.to_string());
        let launch = configured(program, dir, name, &config)?;
        let launch = vars
            .iter()
            .fold(launch, |launch, (name, value)| launch.env(name, *value));
        Ok(Self {
            process: launch.start()?,
            admin,
        })
    }

    /// Waits until it says that it is ready and has seen the requests of an endpoint: a workspace must be
    /// bound. What it finds in that first list waits for one lease period, what comes later does not.
    ///
    /// # Errors
    /// When it ends instead or does not become ready in time.
    pub async fn ready(&mut self) -> Result<()> {
        wait::until("the watcher is ready", wait::USUAL, async || {
            self.process.check_alive()?;
            let (code, body) = readiness(self.admin).await?;
            let bound = !body.contains("no workspace has bound");
            ensure!(code == 200 && bound, "/readyz answered {code}: {body}");
            Ok(())
        })
        .await
    }

    /// A scrape of its metrics.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.admin).await
    }
}

// === impl Worker ===

impl Worker {
    /// Starts a worker with its files in `dir`; an admin port and a folder for its jobs are added to the
    /// configuration. `vars` are set in its environment, for services that inherit them.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start(dir: &Path, config: Value, vars: &[(&str, &Path)]) -> Result<Self> {
        Self::start_as(&program("isc-worker")?, dir, config, vars)
    }

    /// The same, of a certain program.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start_as(
        program: &Path,
        dir: &Path,
        mut config: Value,
        vars: &[(&str, &Path)],
    ) -> Result<Self> {
        let name = config["name"].as_str().unwrap_or("worker").to_owned();
        let admin = net::free_address()?;
        let jobs = dir.join(format!("{name}-jobs"));
        std::fs::create_dir_all(&jobs)?;
        set(&mut config, "admin.listen", admin.to_string());
        set(&mut config, "workDir", jobs.display().to_string());
        let launch = configured(program, dir, &name, &config)?;
        let launch = vars
            .iter()
            .fold(launch, |launch, (name, value)| launch.env(name, *value));
        Ok(Self {
            process: launch.start()?,
            admin,
        })
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends instead or does not become ready in time.
    pub async fn ready(&mut self) -> Result<()> {
        ready(&mut self.process, self.admin, wait::USUAL).await
    }

    /// A scrape of its metrics.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.admin).await
    }
}

fn configured(program: &Path, dir: &Path, name: &str, config: &Value) -> Result<Launch> {
    let file = dir.join(format!("{name}.yaml"));
    // JSON is YAML.
    std::fs::write(&file, serde_json::to_string_pretty(config)?)?;
    Ok(Launch::new(name, program, dir).args(["--config".into(), file.into_os_string()]))
}

/// What `/readyz` answers: the code and the lines.
///
/// # Errors
/// When nothing answers.
pub async fn readiness(admin: SocketAddr) -> Result<(u16, String)> {
    net::http("GET", admin, "/readyz", None).await
}

async fn ready(process: &mut Process, admin: SocketAddr, limit: Duration) -> Result<()> {
    let what = format!("{} is ready", process.name());
    wait::until(&what, limit, async || {
        process.check_alive()?;
        let (code, body) = readiness(admin).await?;
        ensure!(code == 200, "/readyz answered {code}: {body}");
        Ok(())
    })
    .await
}
