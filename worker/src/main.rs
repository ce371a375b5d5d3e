//! `isc-worker`: see `isc_worker::cli`.

use std::process::ExitCode;

use clap::Parser as _;
use isc_worker::cli::Cli;

/// Everything that takes time is waited for; two threads keep the process small.
const THREADS: usize = 2;

fn main() -> anyhow::Result<ExitCode> {
    // Before any thread: the helpers of a worker are this program too.
    if let Some(status) = isc_worker::helper() {
        return Ok(status);
    }
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()?;
    Ok(runtime.block_on(cli.execute()))
}
