//! Single scenes that take too long for the tests: crowds of waiting requests, large ones, many workspaces,
//! idleness, and half an hour of steady work.

mod control;
mod crowd;
mod idle;
mod soak;
mod wide;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::PostParams;
use serde_json::Value;

use super::{
    clock,
    ledger::{self, Event, Line},
    world::{Shape, World},
};
use crate::{Team, wait};

/// Requests that are made at a time.
const AT_A_TIME: usize = 32;
/// Everything that a scene waits for comes within that time: kcp takes some hundred requests a second.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(1_800);
/// What the watcher may need at most, MB (2^20 bytes).
const WATCHER_LIMIT_MB: f64 = 250.0;

/// A scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SceneName {
    /// 50,000 requests of several tenants wait while all workers are busy.
    Crowd,
    /// 5,000 requests of 256 KiB of one tenant.
    Bulk,
    /// 10,000 finished requests, 1,000 waiting ones, and nothing to do.
    Idle,
    /// 5,000 requests spread over 500 workspaces, against as many in one.
    Wide,
    /// Half an hour at half of what can be done at most: what grows?
    Soak,
}

/// Something that a scene has looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What, with its numbers.
    pub what: String,
    /// Whether it is as it must be.
    pub holds: bool,
}

/// Plays a scene in a world of its own under `dir`. `scale` makes it smaller (1.0 is the whole of it).
///
/// # Errors
/// When the surroundings could not be made, or something did not happen at all.
pub async fn play(name: SceneName, scale: f64, dir: &Path) -> Result<Vec<Finding>> {
    std::fs::create_dir_all(dir)?;
    let shape = Shape {
        workspaces: if name == SceneName::Wide { 1 } else { 6 },
        workers: 4,
        slots: if name == SceneName::Soak { 8 } else { 1 },
        retries: true,
        limits: false,
    };
    let mut world = World::start(&dir.canonicalize()?, shape).await?;
    match name {
        SceneName::Crowd => crowd::waits(&mut world, scale).await,
        SceneName::Bulk => crowd::weighs(&mut world, scale).await,
        SceneName::Idle => idle::rests(&mut world, scale).await,
        SceneName::Wide => wide::spreads(&mut world, scale).await,
        SceneName::Soak => soak::lasts(&mut world, scale).await,
    }
}

/// Makes many requests `<prefix>-<number>` of one service in one workspace.
async fn flood(team: &Team, prefix: &str, service: &str, count: usize, spec: &Value) -> Result<()> {
    let begun = clock::now();
    let makes = stream::iter(0..count).map(|number| {
        let name = format!("{prefix}-{number}");
        async move { make(team, &name, service, spec).await.map(|_uid| ()) }
    });
    let all = makes.buffer_unordered(AT_A_TIME);
    all.try_for_each(|()| async { Ok(()) }).await?;
    let took = clock::now().saturating_sub(begun).as_secs_f32();
    println!("  {count} requests {prefix}-* made in {took:.1} s");
    Ok(())
}

/// Makes one request, however busy kcp is; returns its UID.
async fn make(team: &Team, name: &str, service: &str, spec: &Value) -> Result<String> {
    let api = team.requests("default");
    let object = team.object(name, service, spec)?;
    wait::until(&format!("{name} is made"), LIMIT, async || {
        let made = match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => api.get(name).await?,
            other => other?,
        };
        made.metadata.uid.context("it has no UID")
    })
    .await
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "far fewer than 2^32"
)]
fn scaled(count: usize, scale: f64) -> usize {
    (count as f64 * scale).max(1.0) as usize
}

/// The starts in the ledger so far.
fn starts(world: &World) -> Result<Vec<Line>> {
    let mut lines = ledger::read(&world.dir.join("isc"))?;
    lines.retain(|line| line.event == Event::Start);
    Ok(lines)
}

/// Waits until the watcher knows that many requests of a phase, or (no phase) that many in all.
async fn knows(world: &mut World, phase: &str, count: usize) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let wanted = count as f64;
    wait::until(
        &format!("{count} requests are {phase}"),
        LIMIT,
        async || {
            world.watcher.process.check_alive()?;
            let metrics = world.watcher.metrics().await?;
            let of_it = [("phase", phase)];
            let wanted_of: &[_] = if phase.is_empty() { &[] } else { &of_it };
            let found = metrics.sum("isc_requests", wanted_of);
            ensure!(found >= wanted, "the watcher knows {found}");
            Ok(())
        },
    )
    .await
}

/// The most memory that the watcher has needed so far, against its limit.
fn memory(world: &World, when: &str) -> Result<Finding> {
    let peak = world.watcher.process.usage()?.peak_mb;
    Ok(Finding {
        what: format!(
            "{when}, the watcher has needed {peak:.1} MB at most (limit {WATCHER_LIMIT_MB:.0})"
        ),
        holds: peak <= WATCHER_LIMIT_MB,
    })
}
