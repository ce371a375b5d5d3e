//! `isc-worker run`: a service on the spot, by the same executor, without kcp, broker or watcher.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use isc_runtime::services::{Catalogue, Service};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    alone,
    exec::Output,
    executor::{End, Job},
    executors::Surroundings,
    handler::Handlers,
    warden,
};

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The service's name.
    #[arg(long)]
    service: String,
    /// A file with the parameters, a JSON object. Default: {}.
    #[arg(long)]
    params: Option<PathBuf>,
    /// The folder with one file per service.
    #[arg(long, default_value = "./services")]
    services_dir: PathBuf,
    /// How long it may take, in seconds. Default: the service's own.
    #[arg(long)]
    timeout: Option<u64>,
}

// === impl RunArgs ===

impl RunArgs {
    /// Runs the job. Progress and the job's output go to stderr.
    ///
    /// # Errors
    /// What is wrong with the arguments; a job that fails is an [`End`].
    pub(crate) async fn run(
        self,
        handlers: Handlers,
        shutdown: CancellationToken,
    ) -> anyhow::Result<End> {
        let catalogue = Catalogue::load(&self.services_dir)?;
        let service = catalogue.get(&self.service).cloned().with_context(|| {
            let names: Vec<_> = catalogue.iter().map(|s| s.name.as_str()).collect();
            format!(
                "no service `{}`; there is: {}",
                self.service,
                names.join(", ")
            )
        })?;
        let job = self.job(&service)?;
        let (warden, keeper) = warden::pair();
        let surroundings = Surroundings {
            handlers,
            work_dir: None,
            output: Output::Stderr,
            warden: warden.clone(),
        };
        let executor = surroundings.executor(&service)?;
        // There is no watcher that could give the job to another.
        warden.lease(Some(Duration::MAX));
        let over = CancellationToken::new();
        let keeping = tokio::spawn(keeper.run(over.clone()));
        let end = alone::run(executor.as_ref(), job, &shutdown, |progress| {
            eprintln!("progress {:3} % {}", progress.percent, progress.message);
        })
        .await;
        over.cancel();
        keeping.await?;
        Ok(checked(&service, end))
    }

    fn job(&self, service: &Service) -> anyhow::Result<Job> {
        let params_json = match &self.params {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the parameters {}", path.display()))?,
        };
        check_params(service, &params_json)?;
        let seconds = self.timeout.unwrap_or(service.file.timeout_seconds);
        anyhow::ensure!(seconds > 0, "`--timeout` must be at least 1");
        Ok(Job {
            timeout: Duration::from_secs(seconds),
            result_max: usize::try_from(service.file.result_max_bytes).unwrap_or(usize::MAX),
            ..Job::alone(&service.name, params_json)
        })
    }
}

/// As the watcher does before it accepts a request.
fn check_params(service: &Service, params: &str) -> anyhow::Result<()> {
    if service.params.is_none() {
        return Ok(());
    }
    let params: Value = match params.trim() {
        "" => json!({}),
        text => serde_json::from_str(text).context("the parameters are not JSON")?,
    };
    service.check_params(&params).map_err(anyhow::Error::msg)
}

/// As the watcher does before it publishes a result.
fn checked(service: &Service, end: End) -> End {
    let End::Succeeded { result_json } = &end else {
        return end;
    };
    let result = match result_json.as_str() {
        "" => json!({}),
        // The executor has read it as an object already.
        text => serde_json::from_str(text).unwrap_or_default(),
    };
    match service.check_result(&result) {
        Ok(()) => end,
        Err(broken) => End::permanent("InvalidResult", broken),
    }
}
