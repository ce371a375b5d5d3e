//! `isc-watcher`: the process around the library.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use isc_runtime::{config, shutdown, telemetry};
use isc_watcher::{config::WatcherConfig, policy::Trial};

/// What blocking threads may take at the end.
const END: Duration = Duration::from_secs(1);

/// Watches requests in kcp workspaces and has internal workers run them.
///
/// The connection to kcp is what KUBECONFIG names: a kubeconfig of the provider workspace.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Args {
    /// The configuration file; `ISC_...` variables override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Check configuration, policy, services and kubeconfig, then exit.
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Tries everything that a watcher needs: files, kcp and each right there, the broker, the election. Prints
    /// what is missing and how to get it, and changes nothing.
    Check {
        /// The configuration file; `ISC_...` variables override it.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Looks at the acceptance policy; needs no server.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    Test(Trial),
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::Policy {
        command: PolicyCommand::Test(trial),
    }) = &args.command
    {
        return test_policy(trial);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(run(args));
        // A disk that hangs holds a thread up, and is to hold up no end.
        runtime.shutdown_timeout(END);
        result
    });
    match result {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("isc-watcher: {error:#}");
    ExitCode::from(2)
}

fn test_policy(trial: &Trial) -> ExitCode {
    match trial.run() {
        Ok((accepted, text)) => {
            print!("{text}");
            ExitCode::from(u8::from(!accepted))
        }
        Err(error) => failed(&error.into()),
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(Command::Check { config: file }) = args.command {
        let config: WatcherConfig = config::load(file.as_deref())?;
        let report = isc_watcher::check(&config, file.as_deref()).await?;
        print!("{report}");
        return Ok(ExitCode::from(u8::from(!report.is_fine())));
    }
    let config: WatcherConfig = config::load(args.config.as_deref())?;
    telemetry::init(&config.log)?;
    if args.check_config {
        for warning in isc_watcher::check_config(&config, args.config.as_deref())? {
            eprintln!("warning: {warning}");
        }
        println!("ok");
        return Ok(ExitCode::SUCCESS);
    }
    let following = telemetry::follow_filter(args.config.clone(), config.log.filter.clone());
    tokio::select! {
        ended = isc_watcher::run(config, args.config, shutdown::on_signals()?) => ended?,
        never = following => match never {},
    }
    Ok(ExitCode::SUCCESS)
}
