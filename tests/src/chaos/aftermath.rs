//! What is left when all is quiet: in the queues, and of processes.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};

use super::{clock, world::World};
use crate::process;

/// What is left in the queues is taken out by then.
const EMPTY_LIMIT: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(500);
/// Watcher and workers end within that time.
const END_LIMIT: Duration = Duration::from_secs(30);

/// What is in the queues when they had time to become empty.
pub(super) async fn emptied(world: &World) -> Result<Vec<(String, u64)>> {
    let deadline = clock::now() + EMPTY_LIMIT;
    loop {
        let queues = world.queues().await.context("the queues at the end")?;
        if queues.iter().all(|(_, messages)| *messages == 0) || clock::now() > deadline {
            return Ok(queues);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends the product the way an operator would; tells what went wrong.
pub(super) async fn end(world: &mut World) -> Vec<String> {
    let mut wrong = Vec::new();
    let workers = world.workers.iter_mut().map(|w| &mut w.process);
    for process in workers.chain([&mut world.watcher.process]) {
        match process.terminate(END_LIMIT).await {
            Ok(status) if status.success() => {}
            Ok(status) => wrong.push(format!("{} ended with {status}", process.name())),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    wrong
}

/// Jobs that run though every request has ended.
pub(super) fn jobs(dir: &Path) -> Vec<String> {
    let all = process::within(&dir.join("isc")).into_iter();
    let lines = all.map(|pid| command_line(pid.as_raw()));
    lines
        .filter(|line| line.contains("isc-chaos-job"))
        .collect()
}

/// Whatever of the product is left after its end.
pub(super) fn left_over(world: &World) -> Vec<String> {
    let all = process::within(&world.dir).into_iter();
    let lines = all.map(|pid| command_line(pid.as_raw()));
    lines.filter(|line| line.contains("isc-")).collect()
}

fn command_line(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!(
        "{pid} {}",
        String::from_utf8_lossy(&line).replace('\0', " ")
    )
}
