//! A worker's program: the command line, and what it leads to.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use isc_runtime::{
    config, shutdown,
    telemetry::{self, LogConfig},
};

use crate::{
    config::{Checked, WorkerConfig},
    executor::End,
    handler::Handlers,
    local::RunArgs,
};

/// Everything that takes time is waited for; two threads keep the process small.
const THREADS: usize = 2;
/// Blocking work of a job that was abandoned must not keep the process.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// What a handler logs is a job's output; what the worker does for it is nothing to tell of.
const LOCAL_FILTER: &str = "info,isc_worker=warn,isc_runtime=warn";

/// What a failed job and a failed worker exit with,
const FAILED: u8 = 1;
/// and what a wrong command line or configuration does.
const USAGE: u8 = 2;

/// Runs jobs of the Internal Service Controller.
#[derive(Clone, Debug, Parser)]
#[command(name = "isc-worker", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Takes tickets and runs jobs (default).
    Serve(ServeArgs),
    /// Runs a service on the spot: result on stdout, progress and output on stderr.
    Run(RunArgs),
    /// Prints paramsSchema and resultSchema of this program's handlers, as a service file takes them.
    Schema(SchemaArgs),
}

#[derive(Clone, Debug, Args)]
struct ServeArgs {
    /// The configuration file; ISC_* variables come on top of it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only checks the configuration and the services.
    #[arg(long)]
    check_config: bool,
}

#[derive(Clone, Debug, Args)]
struct SchemaArgs {
    /// Only of the handler for this service.
    #[arg(long)]
    service: Option<String>,
}

/// The whole of a worker's program: does what the command line asks for. The exit status is 0, 1 (failed) or
/// 2 (wrong usage or configuration).
///
/// Call it first in `main`, and do everything else in `handlers`: a worker starts its own program again as
/// its warden and at the start of every job, and in those processes this does the helper's work and calls
/// `handlers` not at all. It is called within the runtime.
pub fn main(handlers: impl FnOnce() -> Handlers) -> ExitCode {
    // Before any thread.
    if let Some(status) = crate::helper() {
        return status;
    }
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("cannot start: {error}")),
    };
    let status = runtime.block_on(async { cli.execute(handlers()).await });
    runtime.shutdown_timeout(LAST_MOMENT);
    status
}

// === impl Cli ===

impl Cli {
    async fn execute(self, handlers: Handlers) -> ExitCode {
        match self.command {
            Some(Command::Run(args)) => run(args, handlers).await,
            Some(Command::Schema(args)) => schema(&args, &handlers),
            Some(Command::Serve(args)) => serve(args, handlers).await,
            None => serve(self.serve, handlers).await,
        }
    }
}

// === impl ServeArgs ===

impl ServeArgs {
    fn load(&self, handlers: Handlers) -> anyhow::Result<Checked> {
        let config: WorkerConfig = config::load(self.config.as_deref())?;
        Ok(config.check(handlers)?)
    }
}

async fn serve(args: ServeArgs, handlers: Handlers) -> ExitCode {
    let checked = match args.load(handlers) {
        Ok(checked) => checked,
        Err(error) => return fail(USAGE, &told(&error)),
    };
    if args.check_config {
        println!("ok");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = telemetry::init(&checked.config.log) {
        return fail(USAGE, &error.to_string());
    }
    let shutdown = match shutdown::on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => return fail(FAILED, &format!("cannot listen to signals: {error}")),
    };
    let following = telemetry::follow_filter(args.config, checked.config.log.filter.clone());
    let ended = tokio::select! {
        ended = crate::run(checked, shutdown) => ended,
        never = following => match never {},
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error.to_string()),
    }
}

async fn run(args: RunArgs, handlers: Handlers) -> ExitCode {
    let log = LogConfig {
        filter: LOCAL_FILTER.into(),
        ..LogConfig::default()
    };
    if let Err(error) = telemetry::init(&log) {
        return fail(USAGE, &error.to_string());
    }
    let shutdown = match shutdown::on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => return fail(FAILED, &format!("cannot listen to signals: {error}")),
    };
    match args.run(handlers, shutdown).await {
        Err(error) => fail(USAGE, &told(&error)),
        Ok(End::Stopped) => fail(FAILED, "stopped"),
        Ok(End::Failed(failure)) => fail(FAILED, &failure.to_string()),
        Ok(End::Succeeded { result_json }) => {
            println!("{}", pretty(&result_json));
            ExitCode::SUCCESS
        }
    }
}

fn schema(args: &SchemaArgs, handlers: &Handlers) -> ExitCode {
    match schemas(args.service.as_deref(), handlers) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(FAILED, &told(&error)),
    }
}

/// One YAML document for each handler.
fn schemas(service: Option<&str>, handlers: &Handlers) -> anyhow::Result<String> {
    let mut documents = Vec::new();
    for (name, schemas) in handlers.schemas() {
        if service.is_none_or(|service| service == name) {
            let yaml = schemas.to_yaml().map_err(anyhow::Error::msg);
            let yaml = yaml.with_context(|| format!("the handler for `{name}`"))?;
            documents.push(format!("# {name}.yaml\n{yaml}"));
        }
    }
    anyhow::ensure!(
        !documents.is_empty(),
        "this program has no handler{}",
        service.map_or_else(String::new, |service| format!(" for `{service}`"))
    );
    Ok(documents.join("---\n"))
}

/// A job without a result shows the empty object.
fn pretty(result_json: &str) -> String {
    let value: serde_json::Value =
        serde_json::from_str(result_json).unwrap_or_else(|_| serde_json::json!({}));
    format!("{value:#}")
}

/// An error with its causes, each said once: many messages quote their cause already.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("isc-worker: {message}");
    ExitCode::from(status)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_that_was_quoted_already_is_not_said_again() {
        let error = anyhow::anyhow!("no such file")
            .context("cannot read x: no such file")
            .context("cannot start");
        assert_eq!(told(&error), "cannot start: cannot read x: no such file");
    }

    #[test]
    fn serve_is_what_is_meant_without_a_command() {
        for line in [
            &["isc-worker", "--config", "w.yaml", "--check-config"][..],
            &[
                "isc-worker",
                "serve",
                "--config",
                "w.yaml",
                "--check-config",
            ][..],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            let args = match cli.command {
                Some(Command::Serve(args)) => args,
                Some(_) => panic!("not serve"),
                None => cli.serve,
            };
            assert!(args.check_config && args.config == Some("w.yaml".into()));
        }
    }
}
