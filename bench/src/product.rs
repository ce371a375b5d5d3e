//! Watcher and workers, started for one measurement.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use isc_tests::{
    Watcher, Worker,
    isc::{self, set},
    net,
};
use serde_json::{Value, json};

use crate::{
    ground::{Ground, NAMESPACE, VHOST},
    load::Asked,
};

/// SIGTERM drains; there is nothing left to drain.
const END: Duration = Duration::from_secs(30);

/// What does the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Job {
    /// A handler in the worker's own program that does nothing.
    Handler,
    /// `/bin/true`, a process a job.
    Exec,
    /// A job of [`STEADY_SECONDS`] that tells how far it is, four times a second.
    Steady,
}

/// How long a steady job lasts.
pub(crate) const STEADY_SECONDS: u32 = 20;

/// How many workers there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) job: Job,
    pub(crate) workers: usize,
    pub(crate) slots: u32,
}

/// A running watcher with its workers.
pub(crate) struct Product {
    pub(crate) watcher: Watcher,
    pub(crate) workers: Vec<Worker>,
    pub(crate) job: Job,
}

// === impl Job ===

impl Job {
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Handler => "noop",
            Self::Exec => "true",
            Self::Steady => "steady",
        }
    }

    fn file(self) -> Value {
        match self {
            Self::Handler => json!({"handler": {}}),
            Self::Exec => json!({"exec": {"command": ["/bin/true"]}}),
            Self::Steady => {
                let script = format!(
                    "for i in $(seq {}); do echo \"{{\\\"percent\\\": $i}}\" >> \"$ISC_PROGRESS\"; sleep 0.25; done",
                    STEADY_SECONDS * 4
                );
                json!({"exec": {"command": ["/bin/sh", "-c", script]}})
            }
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Handler => "isc-handlers",
            Self::Exec | Self::Steady => "isc-worker",
        }
    }
}

// === impl Product ===

impl Product {
    /// Starts it and waits until all are ready.
    pub(crate) async fn start(ground: &Ground, shape: Shape) -> Result<Self> {
        let services = ground.dir.join(shape.job.service());
        std::fs::create_dir_all(&services)?;
        let file = services.join(format!("{}.yaml", shape.job.service()));
        // JSON is YAML.
        std::fs::write(file, shape.job.file().to_string())?;
        let (grpc, amqp) = (net::free_address()?, ground.env.broker.url(VHOST));
        let mut config = isc::watcher_config(&services, &amqp, grpc);
        set(&mut config, "log.filter", "info");
        let dir = folder(ground, "watcher")?;
        let mut watcher = Watcher::start(&dir, "watcher", config, &ground.provider.kubeconfig)?;
        let dir = folder(ground, "workers")?;
        let program = isc::program(shape.job.program())?;
        let worker = |number| {
            let name = format!("worker-{number}");
            let mut config = isc::worker_config(&services, &amqp, grpc, &name);
            set(&mut config, "services", json!([shape.job.service()]));
            set(&mut config, "slots", shape.slots);
            set(&mut config, "log.filter", "info");
            Worker::start_as(&program, &dir, config, &[])
        };
        let mut workers = (0..shape.workers).map(worker).collect::<Result<Vec<_>>>()?;
        watcher.ready().await?;
        for worker in &mut workers {
            worker.ready().await?;
        }
        Ok(Self {
            watcher,
            workers,
            job: shape.job,
        })
    }

    /// The status that it writes at the end of one request.
    pub(crate) async fn example(&self, ground: &Ground) -> Result<Value> {
        let asked = Asked {
            prefix: "example",
            service: self.job.service(),
        };
        let (tenant, made) = asked.make(ground, 0).await?;
        let status = tenant
            .team
            .wait_phase(
                made.metadata.name.as_deref().unwrap_or_default(),
                "Succeeded",
            )
            .await?;
        let api = tenant.team.requests(NAMESPACE);
        api.delete("example-0", &kube::api::DeleteParams::default())
            .await?;
        Ok(status)
    }

    /// How many ends it has written.
    pub(crate) async fn ended(&self) -> Result<f64> {
        let metrics = self.watcher.metrics().await?;
        let written = [("kind", "end"), ("result", "ok")];
        Ok(metrics.sum("isc_status_writes_total", &written))
    }

    /// Ends it the way an operator would.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let workers = self.workers.iter_mut();
        let ends = workers.map(|worker| worker.process.terminate(END));
        futures::future::try_join_all(ends).await?;
        self.watcher.process.terminate(END).await?;
        Ok(())
    }
}

/// Inside of the folder by which processor time is found.
fn folder(ground: &Ground, name: &str) -> Result<PathBuf> {
    let dir = ground.dir.join(name).join("home");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
