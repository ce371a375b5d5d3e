//! `isc-dev chaos`: the fault suite from the command line.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Result;
use isc_tests::{
    chaos::{
        self, Options,
        mix::Ability,
        scenes::{self, SceneName},
    },
    environment::repository,
};
use rand::RngExt as _;

/// Things go on breaking that long after the last request was made.
const AFTERMATH: Duration = Duration::from_secs(15);
/// Violations that are printed in full.
const TOLD: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The same seed makes the same requests and the same faults; default one by chance.
    #[arg(long)]
    seed: Option<u64>,
    /// About so many requests.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// In so many workspaces.
    #[arg(long, default_value_t = 20)]
    workspaces: usize,
    /// Requests that are made in a second.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Jobs that a worker runs at once.
    #[arg(long, default_value_t = 12)]
    slots: u32,
    /// Seconds between two faults, about; 0 is no faults.
    #[arg(long, default_value_t = 4.0)]
    gap: f64,
    /// The servers are frozen and cut off, but not killed.
    #[arg(long)]
    mild: bool,
    /// What requests do not ask for.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Ability>,
    /// Plays one scene instead.
    #[arg(long)]
    scene: Option<SceneName>,
    /// The size of the scene; 1 is the whole of it.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Logs and data stay in target/chaos/SEED even when nothing is wrong.
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    if let Some(scene) = args.scene {
        return play(scene, args.scale).await;
    }
    let seed = args
        .seed
        .unwrap_or_else(|| rand::rng().random_range(1..1_000_000));
    let folder = repository().join("target/chaos");
    let dir = folder.join(seed.to_string());
    clear(&dir)?;
    let report = chaos::run(&options(&args, seed, &dir)).await?;
    let file = folder.join("report.json");
    report.write(&file)?;
    println!("\n{}", report.text(TOLD));
    println!("report: {}", file.display());
    if !report.violations.is_empty() {
        println!(
            "logs: {}\nagain: make chaos SEED={seed} REQUESTS={}",
            dir.display(),
            args.requests
        );
        return Ok(ExitCode::FAILURE);
    }
    if !args.keep {
        clear(&dir)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Args, seed: u64, dir: &Path) -> Options {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let span = Duration::from_secs_f64(args.requests as f64 / args.rate);
    Options {
        seed,
        requests: args.requests,
        workspaces: args.workspaces,
        span,
        workers: args.workers,
        slots: args.slots,
        gap: (args.gap > 0.0).then(|| Duration::from_secs_f64(args.gap)),
        aftermath: AFTERMATH,
        mild: args.mild,
        missing: args.without.clone(),
        dir: dir.to_owned(),
    }
}

async fn play(scene: SceneName, scale: f64) -> Result<ExitCode> {
    println!("scene {scene:?}");
    let dir = repository().join(format!("target/chaos/scene-{scene:?}"));
    clear(&dir)?;
    let findings = scenes::play(scene, scale, &dir).await?;
    for finding in &findings {
        let mark = if finding.holds { "ok    " } else { "FAILED" };
        println!("  {mark} {}", finding.what);
    }
    if findings.iter().all(|finding| finding.holds) {
        clear(&dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("logs: {}", dir.display());
    Ok(ExitCode::FAILURE)
}

fn clear(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}
