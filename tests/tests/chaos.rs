//! A short form of the fault suite, with its own kcp and RabbitMQ. The long one is `make chaos`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use isc_tests::{
    chaos::{self, Options},
    environment::repository,
};
use rand::RngExt as _;

const REQUESTS: usize = 300;
/// Violations that are printed in full.
const TOLD: usize = 10;

/// The seed: `$CHAOS_SEED`, or another one in every run.
fn seed() -> Result<u64> {
    match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse().context("CHAOS_SEED must be a number"),
        Err(_) => Ok(rand::rng().random_range(1..1_000_000)),
    }
}

#[test]
fn whatever_breaks_every_request_ends_once_as_it_should_and_nothing_runs_twice_at_once()
-> Result<()> {
    let seed = seed()?;
    let dir = repository().join(format!("target/chaos/short-{seed}"));
    let options = Options {
        seed,
        requests: REQUESTS,
        workspaces: 4,
        span: Duration::from_secs(20),
        workers: 3,
        slots: 12,
        gap: Some(Duration::from_millis(2_500)),
        aftermath: Duration::from_secs(5),
        mild: true,
        missing: vec![],
        dir: dir.clone(),
    };
    // One thread: what is started ends with the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(chaos::run(&options));
    let report = report.with_context(|| format!("seed {seed}, logs in {}", dir.display()))?;
    println!("{}", report.text(TOLD));
    assert!(
        report.violations.is_empty(),
        "{} violations; logs in {}; again with CHAOS_SEED={seed}",
        report.violations.len(),
        dir.display()
    );
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
