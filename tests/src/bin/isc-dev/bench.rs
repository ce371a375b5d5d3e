//! `isc-dev bench-latency`: how long a short request takes on an idle system, as its caller sees it.

use std::{
    pin::Pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{Stream, StreamExt as _};
use isc_tests::{Team, wait};
use kube::{
    api::{DynamicObject, ListParams, WatchEvent, WatchParams},
    core::WatchEvent::Modified,
};
use serde_json::json;

use crate::{stack::Stack, steps::Steps};

const REQUESTS: usize = 50;
const WARM_UP: usize = 3;
/// What the product promises for the median on an idle worker.
const PROMISED: Duration = Duration::from_millis(150);
const NAME: &str = "isc_status_writes_total";
const LIMIT: Duration = Duration::from_secs(30);

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<DynamicObject>>>>>;

pub(crate) async fn run() -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("isc-bench-").tempdir()?;
    let dir = folder.path().canonicalize()?;
    let services = dir.join("services");
    std::fs::create_dir(&services)?;
    std::fs::write(
        services.join("nap.yaml"),
        "exec: {command: [sleep, '0.01']}\n",
    )?;
    let mut stack = Stack::start(&dir, "bench", &services, &mut Steps::new()).await?;
    let team = stack.teams[0].clone();
    let mut events = watch(&team).await?;
    for index in 0..WARM_UP {
        one(&team, &mut events, &format!("warm-{index}")).await?;
    }
    let before = writes(&stack, WARM_UP).await?;
    let mut taken = Vec::with_capacity(REQUESTS);
    for index in 0..REQUESTS {
        taken.push(one(&team, &mut events, &format!("nap-{index}")).await?);
    }
    let written = writes(&stack, WARM_UP + REQUESTS).await? - before;
    report(taken, written);
    stack.drain().await?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(team: &Team) -> Result<Events> {
    let api = team.requests("default");
    let version = api
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version;
    let version = version.context("a list without a version")?;
    Ok(Box::pin(
        api.watch(&WatchParams::default(), &version).await?,
    ))
}

/// The time from just before a request is made until the watch shows its success.
async fn one(team: &Team, events: &mut Events, name: &str) -> Result<Duration> {
    let start = Instant::now();
    team.ask(name, "nap", json!({})).await?;
    let success = async {
        while let Some(event) = events.next().await {
            let Modified(request) = event? else { continue };
            let ours = request.metadata.name.as_deref() == Some(name);
            match request.data["status"]["phase"].as_str() {
                Some("Succeeded") if ours => return Ok(start.elapsed()),
                Some("Failed" | "Rejected") => {
                    bail!("{name} ended with {}", request.data["status"])
                }
                _ => {}
            }
        }
        bail!("the watch ended")
    };
    tokio::time::timeout(LIMIT, success)
        .await
        .with_context(|| format!("{name} takes too long"))?
}

/// All status writes so far, once the ends of `ended` requests are among them: the caller may see an end
/// before its writer has counted it.
async fn writes(stack: &Stack, ended: usize) -> Result<f64> {
    let wanted = u32::try_from(ended).map(f64::from)?;
    wait::until("all ends are counted", LIMIT, async || {
        let metrics = stack.watcher.metrics().await?;
        let ends = metrics.sum(NAME, &[("kind", "end"), ("result", "ok")]);
        ensure!(ends >= wanted, "{ends} of {ended}");
        Ok(metrics.sum(NAME, &[]))
    })
    .await
}

fn report(mut taken: Vec<Duration>, written: f64) {
    taken.sort();
    let at =
        |share: usize| taken[(taken.len() * share / 100).min(taken.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "\n{REQUESTS} requests of a 10 ms job, one after the other, made to seen as Succeeded in a watch:"
    );
    println!(
        "  median {:.1} ms (promised {} ms), p95 {:.1} ms, fastest {:.1} ms, slowest {:.1} ms",
        at(50),
        PROMISED.as_millis(),
        at(95),
        at(0),
        at(100)
    );
    #[expect(clippy::cast_precision_loss, reason = "fifty")]
    let each = written / REQUESTS as f64;
    println!("  {each:.2} status writes per request");
}
