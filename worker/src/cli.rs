//! The command line of `isc-worker`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use isc_runtime::{config, shutdown, telemetry};

use crate::{
    config::{Checked, WorkerConfig},
    executor::End,
    local::RunArgs,
};

/// What a failed job and a failed worker exit with,
const FAILED: u8 = 1;
/// and what a wrong command line or configuration does.
const USAGE: u8 = 2;

/// Runs jobs of the Internal Service Controller.
#[derive(Clone, Debug, Parser)]
#[command(name = "isc-worker", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
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

// === impl Cli ===

impl Cli {
    /// Does what the command line asks for; the exit status is 0, 1 (failed) or 2 (wrong usage).
    pub async fn execute(self) -> ExitCode {
        match self.command {
            Some(Command::Run(args)) => run(args).await,
            Some(Command::Serve(args)) => serve(args).await,
            None => serve(self.serve).await,
        }
    }
}

// === impl ServeArgs ===

impl ServeArgs {
    fn load(&self) -> anyhow::Result<Checked> {
        let config: WorkerConfig = config::load(self.config.as_deref())?;
        Ok(config.check()?)
    }
}

async fn serve(args: ServeArgs) -> ExitCode {
    let checked = match args.load() {
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

async fn run(args: RunArgs) -> ExitCode {
    let shutdown = match shutdown::on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => return fail(FAILED, &format!("cannot listen to signals: {error}")),
    };
    match args.run(shutdown).await {
        Err(error) => fail(USAGE, &told(&error)),
        Ok(End::Stopped) => fail(FAILED, "stopped"),
        Ok(End::Failed(failure)) => {
            fail(FAILED, &format!("{}: {}", failure.reason, failure.message))
        }
        Ok(End::Succeeded { result_json }) => {
            println!("{}", pretty(&result_json));
            ExitCode::SUCCESS
        }
    }
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
                Some(Command::Run(_)) => panic!("not run"),
                None => cli.serve,
            };
            assert!(args.check_config && args.config == Some("w.yaml".into()));
        }
    }
}
