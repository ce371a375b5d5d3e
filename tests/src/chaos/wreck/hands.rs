//! What it takes to break one thing, and to start it again.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{KILL_LIMIT, STOP_LIMIT};
use crate::{
    Process, Who,
    chaos::{
        faults::{Harm, Target},
        proxy::Proxy,
        world::World,
    },
};

/// An answer of a server that comes back takes no longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn harm_it(world: &mut World, target: Target, harm: Harm) -> Result<()> {
    match harm {
        Harm::Kill => {
            let process = process(world, target)?;
            process.signal(Signal::SIGKILL)?;
            process.ended(KILL_LIMIT).await.map(|_status| ())
        }
        Harm::Stop => process(world, target)?.signal(Signal::SIGTERM),
        Harm::Freeze => process(world, target)?.signal(Signal::SIGSTOP),
        Harm::KillWarden => {
            let worker = process(world, target)?.pid();
            let warden = warden_of(worker).context("it has no warden")?;
            Ok(kill(warden, Signal::SIGKILL)?)
        }
        Harm::Cut => link(world, target).map(Proxy::cut),
        Harm::Refuse => link(world, target).map(Proxy::refuse),
        Harm::Swallow => link(world, target).map(Proxy::swallow),
        Harm::Purge | Harm::Delete => world.wipe(harm == Harm::Purge).await,
        Harm::Alarm => limit_memory(world, 0.0).await,
    }
}

/// The tool is awaited: what it did not do is no fault.
pub(super) async fn limit_memory(world: &World, share: f32) -> Result<()> {
    let mut tool = world.rabbitmq.start_limiting_memory(share)?;
    let status = tool.ended(STOP_LIMIT).await?;
    anyhow::ensure!(status.success(), "rabbitmqctl ended with {status}");
    Ok(())
}

pub(super) fn process(world: &mut World, target: Target) -> Result<&mut Process> {
    Ok(match target {
        Target::Watcher => &mut world.watcher.process,
        Target::Worker(number) => &mut world.workers[number].process,
        Target::Broker => &mut world.rabbitmq.process,
        Target::Kcp => &mut world.kcp.process,
        _ => anyhow::bail!("{target} is no process"),
    })
}

pub(super) fn link(world: &World, target: Target) -> Result<&Proxy> {
    let links = &world.links;
    Ok(match target {
        Target::KcpLink => &links.kcp,
        Target::WatcherBrokerLink => &links.watcher_broker,
        Target::WorkerBrokerLink(number) => &links.worker_broker[number],
        Target::SessionLink(number) => &links.session[number],
        _ => anyhow::bail!("{target} is no connection"),
    })
}

pub(super) fn start_again(world: &mut World, target: Target) -> Result<()> {
    match target {
        Target::Watcher => world.next_watcher(),
        Target::Worker(number) => world.next_worker(number),
        Target::Broker => world.rabbitmq.start_again(),
        Target::Kcp => world.kcp.start_again(),
        _ => anyhow::bail!("{target} cannot be started"),
    }
}

/// Whether a server that was broken answers again; of the others nothing is known.
pub(super) async fn serves(world: &World, target: Target) -> bool {
    let answer = async {
        match target {
            Target::Kcp => {
                let client = Who::Admin.client(&world.env, "root").await?;
                let ready = http::Request::get("/readyz").body(Vec::new())?;
                client.request_text(ready).await?;
            }
            Target::Broker => {
                world.env.broker.call("GET", "/api/vhosts").await?;
            }
            _ => {}
        }
        anyhow::Ok(())
    };
    matches!(tokio::time::timeout(ANSWER_LIMIT, answer).await, Ok(Ok(())))
}

/// The warden of a worker: its child whose first argument says so.
fn warden_of(worker: u32) -> Option<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let child_of = |pid: &i32| {
        let status = std::fs::read_to_string(Path::new("/proc").join(format!("{pid}/status")));
        let parent = format!("PPid:\t{worker}\n");
        status.is_ok_and(|text| text.contains(&parent))
    };
    let is_warden = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).nth(1) == Some(b"warden")
    };
    all.into_iter()
        .find(|pid| child_of(pid) && is_warden(pid))
        .map(Pid::from_raw)
}
