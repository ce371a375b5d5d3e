//! `isc-watcher`: the process around the library.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use isc_runtime::{config, shutdown, telemetry};
use isc_watcher::config::WatcherConfig;

/// Watches requests in kcp workspaces and has internal workers run them.
///
/// The connection to kcp is what KUBECONFIG names: a kubeconfig of the provider workspace.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The configuration file; `ISC_...` variables override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Check configuration, services and kubeconfig, then exit.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isc-watcher: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let config: WatcherConfig = config::load(args.config.as_deref())?;
    telemetry::init(&config.log)?;
    if args.check_config {
        isc_watcher::check(&config).await?;
        println!("ok");
        return Ok(());
    }
    Ok(isc_watcher::run(config, args.config, shutdown::on_signals()?).await?)
}
