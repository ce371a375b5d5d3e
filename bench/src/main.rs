//! `isc-bench`: how fast the product is, beside the most that kcp allows and beside what else one could use.
//!
//! Every figure that is claimed is a ratio of two that were measured in the same run, on the same servers.
//!
//! | module | owns |
//! |---|---|
//! | `cores` | which cores are kcp's, and which are for all else |
//! | `ground` | kcp, RabbitMQ and the workspaces of a run |
//! | `load` | making requests, as fast as possible or at a pace |
//! | `limit` | the most that kcp allows: one bare patch a request |
//! | `product` | watcher and workers, started for one measurement |
//! | `cost` | what is counted and used meanwhile |
//! | `pace` | latencies at a fixed pace |
//! | `peers` | what one could use instead |
//! | `subject` | one measurement after the other, each alone |
//! | `growth` | what grows with what |
//! | `quick` | the regression check |
//! | `full` | everything |
//! | `report`, `tables`, `plot` | what is shown and written |

mod cores;
mod cost;
mod full;
mod ground;
mod growth;
mod limit;
mod load;
mod pace;
mod peers;
mod plot;
mod product;
mod quick;
mod report;
mod subject;
mod tables;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use isc_tests::interrupted;

use crate::{cores::Cores, subject::Bench};

#[derive(Parser)]
#[command(
    version,
    about = "Measures the Internal Service Controller on this machine"
)]
struct Args {
    /// kcp gets no cores of its own: it shares all of them with the rest.
    #[arg(long, global = true)]
    together: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The ratios of a change, in less than five minutes; writes target/bench/quick.json.
    Quick(quick::Args),
    /// Everything, in about an hour; writes bench.json and plots into target/bench.
    Full(full::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    // Before there is another thread, which would keep all cores.
    let cores = if args.together {
        Cores::together()
    } else {
        Cores::apart()
    };
    interrupted::or(async {
        let bench = Box::pin(Bench::start(cores?)).await?;
        match args.command {
            Command::Quick(args) => Box::pin(quick::run(bench, args)).await?,
            Command::Full(args) => Box::pin(full::run(bench, args)).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}
