//! `isc-dev demo`: both teams have real files signed and published; what comes back is verified.

mod checks;
mod follow;
mod plan;
mod table;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use isc_tests::{Process, environment::repository, process, usage::Usage, wait};

use self::{checks::Checks, follow::Row};
use crate::{stack::Stack, steps::Steps};

/// The promises about memory, MB resident.
const WATCHER_LIMIT_MB: f64 = 40.0;
const WORKER_LIMIT_MB: f64 = 25.0;
/// How long the processor time of doing nothing is measured.
const IDLE: std::time::Duration = std::time::Duration::from_secs(5);

pub(crate) async fn run() -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("isc-demo-").tempdir()?;
    let dir = folder.path().canonicalize()?;
    println!("Set-up");
    let mut steps = Steps::new();
    let services = repository().join("services");
    let mut stack = Stack::start(&dir, "demo", &services, &mut steps).await?;
    println!("\nRequests: two teams, the same names in both workspaces, two workers\n");
    let jobs = plan::jobs(&stack, &dir)?;
    let teams = stack.teams.clone();
    let rows = tokio::select! {
        rows = follow::to_the_end(&teams, &jobs) => rows?,
        error = stack.watch() => return Err(error),
    };
    let mut checks = Checks::new();
    println!("\nChecks");
    for (job, row) in jobs.iter().zip(&rows) {
        checks.result(&stack, job, row);
    }
    checks.forgery(&stack, &jobs, &rows);
    checks.log_says_why(&stack);
    checks.writes(&stack, &rows).await;
    idle(&mut stack, &mut checks).await?;
    let drained = steps
        .step("SIGTERM to the workers, then to the watcher", stack.drain())
        .await;
    checks.note("watcher and workers end cleanly on SIGTERM", drained);
    drop(stack);
    // What was killed last may need a moment to be gone.
    let gone = wait::until("all processes are gone", wait::USUAL, async || {
        let left = process::within(&dir);
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    });
    checks.note("nothing is left running", gone.await);
    times(&steps);
    Ok(checks.verdict())
}

/// Memory and processor time after the work, against the promises.
async fn idle(stack: &mut Stack, checks: &mut Checks) -> Result<()> {
    let before = usages(stack)?;
    tokio::time::sleep(IDLE).await;
    let limits = [WATCHER_LIMIT_MB, WORKER_LIMIT_MB, WORKER_LIMIT_MB];
    for (((name, early), (_, late)), limit) in before.into_iter().zip(usages(stack)?).zip(limits) {
        let busy = (late.cpu_seconds - early.cpu_seconds) / IDLE.as_secs_f64() * 100.0;
        let (memory, total) = (late.resident_mb, late.cpu_seconds);
        let text = format!(
            "{name}: {memory:.1} MB resident (limit {limit:.0}), {total:.2} s of processor time, {busy:.1} % when idle"
        );
        checks.holds(&text, memory <= limit);
    }
    Ok(())
}

fn usages(stack: &Stack) -> Result<Vec<(String, Usage)>> {
    let workers = stack.workers.iter().map(|w| &w.process);
    let usage = |p: &Process| Ok((p.name().to_owned(), p.usage()?));
    [&stack.watcher.process]
        .into_iter()
        .chain(workers)
        .map(usage)
        .collect()
}

fn times(steps: &Steps) {
    println!("\nTimes");
    for (label, taken) in steps.taken() {
        println!("  {:>6.1} s  {label}", taken.as_secs_f32());
    }
    println!("  {:>6.1} s  in all", steps.total().as_secs_f32());
}
