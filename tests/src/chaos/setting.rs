//! What the product of a run is started with: services, addresses, short times.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    kinds::{LANES, RESULT_MAX_BYTES, SERVICES, UNWANTED},
    ledger,
    world::{LEASE, LOST_MAX, Links, Shape, VHOST},
};
use crate::{
    Environment, Provider, Watcher, Who, Worker,
    isc::{self, set},
    provider::write_kubeconfig,
};

const LOG: &str = "info";

/// What the product is started with.
#[derive(Debug)]
pub(super) struct Setting {
    dir: PathBuf,
    kubeconfig: PathBuf,
    watcher: Value,
    workers: Vec<Value>,
}

// === impl Setting ===

impl Setting {
    /// Writes services and kubeconfig, and remembers the rest.
    pub(super) fn write(
        dir: &Path,
        env: &Environment,
        provider: &Provider,
        links: &Links,
        grpc: SocketAddr,
        shape: Shape,
    ) -> Result<Self> {
        let home = dir.join("isc");
        let services = home.join("services");
        std::fs::create_dir_all(&services)?;
        std::fs::create_dir_all(ledger::locks(&home))?;
        write_services(&services, shape)?;
        let through = Environment {
            kcp_url: format!("https://{}", links.kcp.address),
            ..env.clone()
        };
        let kubeconfig = home.join("controller.kubeconfig");
        let config = Who::Controller.kubeconfig(&through, &provider.path)?;
        write_kubeconfig(&kubeconfig, &config)?;
        let numbers = 0..shape.workers;
        Ok(Self {
            watcher: watcher_config(&services, env, links, grpc),
            workers: numbers
                .map(|number| worker_config(&services, env, links, shape.slots, number))
                .collect(),
            dir: home,
            kubeconfig,
        })
    }

    /// Starts a watcher.
    pub(super) fn watcher(&self) -> Result<Watcher> {
        Watcher::start(&self.dir, "watcher", self.watcher.clone(), &self.kubeconfig)
    }

    /// Starts a worker.
    pub(super) fn worker(&self, number: usize) -> Result<Worker> {
        let name = format!("worker-{number}");
        let vars = [
            (ledger::DIR_VAR, self.dir.as_path()),
            (ledger::WORKER_VAR, Path::new(&name)),
        ];
        Worker::start(&self.dir, self.workers[number].clone(), &vars)
    }
}

/// Short times, so that much happens in a run.
fn watcher_config(services: &Path, env: &Environment, links: &Links, grpc: SocketAddr) -> Value {
    let amqp = env.broker.url_at(links.watcher_broker.address, VHOST);
    let mut config = isc::watcher_config(services, &amqp, grpc);
    set(&mut config, "lease.seconds", LEASE);
    set(&mut config, "lease.heartbeatSeconds", 1);
    set(&mut config, "lostMax", LOST_MAX);
    set(&mut config, "log.filter", LOG);
    config
}

fn worker_config(
    services: &Path,
    env: &Environment,
    links: &Links,
    slots: u32,
    number: usize,
) -> Value {
    let amqp = env
        .broker
        .url_at(links.worker_broker[number].address, VHOST);
    let session = links.session[number].address;
    let name = format!("worker-{number}");
    let mut config = isc::worker_config(services, &amqp, session, &name);
    let served = json!([SERVICES[0], SERVICES[1], LANES]);
    set(&mut config, "services", served);
    set(&mut config, "slots", slots);
    set(&mut config, "claimHoldSeconds", 3);
    set(&mut config, "drainSeconds", 3);
    set(&mut config, "log.filter", LOG);
    config
}

/// The services: each is the same program.
fn write_services(dir: &Path, shape: Shape) -> Result<()> {
    let mut file = service()?;
    if shape.retries {
        file["retry"] = json!({"backoffSeconds": 1, "maxBackoffSeconds": 3, "maxRetries": 10});
    }
    let mut lanes = file.clone();
    if shape.limits {
        lanes["limits"] = json!({"key": {"cel": "params.lane", "max": 1}});
    }
    let plain = SERVICES.iter().chain(&[UNWANTED]).map(|name| (name, &file));
    for (name, file) in plain.chain([(&LANES, &lanes)]) {
        let path = dir.join(format!("{name}.yaml"));
        std::fs::write(path, serde_json::to_string_pretty(file)?)?;
    }
    Ok(())
}

/// The file of a service that runs the suite's job.
///
/// # Errors
/// When the job was not built.
pub fn service() -> Result<Value> {
    Ok(json!({
        "resultMaxBytes": RESULT_MAX_BYTES,
        "maxTimeoutSeconds": 7200,
        "timeoutSeconds": 7200,
        "exec": {
            "command": [isc::program("isc-chaos-job")?],
            "inheritEnv": [ledger::DIR_VAR, ledger::WORKER_VAR],
            "graceSeconds": 1,
        },
    }))
}
