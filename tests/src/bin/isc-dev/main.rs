//! `isc-dev`: starts the whole product with its surroundings on this machine, for a demo, for trying
//! things, for the tests and for a benchmark. Everything listens on loopback and ends with it.

mod bench;
mod chaos;
mod demo;
mod failures;
mod guide;
mod stack;
mod steps;
mod test;
mod up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use isc_tests::{environment::repository, interrupted};

#[derive(Parser)]
#[command(
    version,
    about = "Runs the Internal Service Controller with kcp and RabbitMQ on this machine"
)]
struct Args {
    /// The folder of `up`, `down` and `status`; default `.isc` in the repository.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the whole way of real requests, verifies the results, ends everything.
    Demo,
    /// Measures the time from created to Succeeded of short requests, one after the other.
    BenchLatency,
    /// Breaks everything that can be broken while thousands of requests are made, and judges the ends.
    Chaos(chaos::Args),
    /// Starts everything in the background and prints what to try.
    Up,
    /// Ends what `up` started.
    Down,
    /// Shows what `up` started.
    Status,
    /// What `up` runs in the background.
    #[command(hide = true)]
    Supervise,
    /// Starts kcp and RabbitMQ, runs a command with variables that point at them, ends both.
    Test {
        /// The command, as in `isc-dev test -- cargo test`.
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    interrupted::or(run(args))
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let dir = args.dir.unwrap_or_else(|| repository().join(".isc"));
    let dir = std::path::absolute(dir)?;
    match args.command {
        Command::Demo => Box::pin(demo::run()).await,
        Command::BenchLatency => Box::pin(bench::run()).await,
        Command::Chaos(args) => Box::pin(chaos::run(args)).await,
        Command::Up => up::up(&dir).await,
        Command::Down => up::down(&dir).await,
        Command::Status => up::status(&dir).await,
        Command::Supervise => Box::pin(up::supervise(&dir)).await,
        Command::Test { command } => test::run(&command).await,
    }
}
