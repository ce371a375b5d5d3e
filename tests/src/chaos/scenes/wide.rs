//! Many workspaces: what they cost must be what their requests cost.
//!
//! The same watcher is started three times before the same kcp: with all requests in one workspace, with a
//! tenth of them spread over many, and with all of them spread over many.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::{AT_A_TIME, Finding, LIMIT, WATCHER_LIMIT_MB, knows, make, scaled, starts};
use crate::{
    Metrics, Team, Who,
    chaos::{clock, kinds::SERVICES, world::World},
    isc, wait,
};

const WORKSPACES: usize = 500;
const REQUESTS: usize = 5_000;
/// So many times what the same requests cost in one workspace may they cost in many, plus a constant for what
/// is not a matter of size: the noise of a busy machine, and the paths of the workspaces.
const TIMES: f64 = 1.5;
const MORE_MB: f64 = 5.0;
const MORE_SECONDS: f64 = 3.0;
const END: Duration = Duration::from_secs(60);
/// kcp's own watches come and go; what it shows is taken when it has shown the same for that long.
const STILL: Duration = Duration::from_secs(2);

/// What one start of the watcher has cost.
struct Cost {
    workspaces: usize,
    requests: usize,
    /// From its start to the first list that is complete, the first ticket and the first job.
    listed: f64,
    ticket: f64,
    job: f64,
    resident_mb: f64,
    peak_mb: f64,
    cpu_seconds: f64,
    /// Of kcp, more than before its start.
    watches: f64,
    /// Sources that it says it watches.
    sources: f64,
}

/// 5,000 requests in one workspace, 500 in 500, 5,000 in 500.
pub(super) async fn spreads(world: &mut World, scale: f64) -> Result<Vec<Finding>> {
    let (many, all) = (scaled(WORKSPACES, scale), scaled(REQUESTS, scale));
    // A watcher that ends before it has taken over leaves no mark, and the next one would wait for a lease.
    let _warm = cost(world, 1, 1).await?;
    let narrow = cost(world, 1, all).await?;
    let begun = clock::now();
    world.widen(many).await?;
    let took = clock::now().saturating_sub(begun).as_secs_f32();
    println!("  {many} workspaces made and bound in {took:.0} s");
    let few = cost(world, many, all / 10).await?;
    let wide = cost(world, many, all).await?;
    println!(
        "  workspaces  requests  listed s  ticket s  job s  resident MB  peak MB  cpu s  watches  sources"
    );
    for cost in [&narrow, &few, &wide] {
        println!("  {}", cost.row());
    }
    Ok(judge(&narrow, &few, &wide))
}

fn judge(narrow: &Cost, few: &Cost, wide: &Cost) -> Vec<Finding> {
    let finding = |what: String, holds: bool| Finding { what, holds };
    let ratio = |of: fn(&Cost) -> f64| of(wide) / of(narrow).max(f64::MIN_POSITIVE);
    let within = |of: fn(&Cost) -> f64, more: f64| of(wide) <= of(narrow) * TIMES + more;
    let (workspaces, requests) = (wide.workspaces, wide.requests);
    vec![
        finding(
            format!(
                "{workspaces} workspaces are watched by as many watches as one: {} by kcp's count, {} by the watcher's",
                wide.watches, wide.sources
            ),
            [few, wide].iter().all(|cost| {
                cost.watches <= narrow.watches && (cost.sources - narrow.sources).abs() < 0.1
            }) && narrow.watches > 0.0,
        ),
        finding(
            format!(
                "{requests} requests in {workspaces} workspaces take {:.2} times the memory of as many in one",
                ratio(|cost| cost.resident_mb)
            ),
            within(|cost| cost.resident_mb, MORE_MB) && wide.peak_mb <= WATCHER_LIMIT_MB,
        ),
        finding(
            format!(
                "their first ticket takes {:.2} times as long, and their first job {:.2} times",
                ratio(|cost| cost.ticket),
                ratio(|cost| cost.job)
            ),
            within(|cost| cost.ticket, MORE_SECONDS) && within(|cost| cost.job, MORE_SECONDS),
        ),
        finding(
            format!(
                "a tenth of the requests in as many workspaces takes {:.1} MB and {:.1} s to the first ticket",
                few.resident_mb, few.ticket
            ),
            few.resident_mb <= wide.resident_mb && few.ticket <= wide.ticket + MORE_SECONDS,
        ),
    ]
}

/// Ends the watcher, makes the requests, starts one that finds them, and removes them again.
async fn cost(world: &mut World, workspaces: usize, requests: usize) -> Result<Cost> {
    let ended = world.watcher.process.terminate(END).await?;
    ensure!(ended.success(), "the watcher ended with {ended}");
    spread(&world.teams[..workspaces], requests).await?;
    let before = still(world).await?;
    let jobs = starts(world)?.len();
    let begun = clock::now();
    let since = |moment: Duration| moment.saturating_sub(begun).as_secs_f64();
    world.next_watcher()?;
    let (listed, ticket) = tokio::try_join!(listed(world), first_ticket(world))?;
    let job = wait::until("a job starts", LIMIT, async || {
        let first = starts(world)?.into_iter().nth(jobs);
        Ok(Duration::from_nanos(first.context("none has")?.at))
    })
    .await?;
    knows(world, "", requests).await?;
    let usage = world.watcher.process.usage()?;
    let metrics = world.watcher.metrics().await?;
    let cost = Cost {
        workspaces,
        requests,
        listed: since(listed),
        ticket: since(ticket),
        job: since(job),
        resident_mb: usage.resident_mb,
        peak_mb: usage.peak_mb,
        cpu_seconds: usage.cpu_seconds,
        watches: still(world).await? - before,
        sources: metrics.sum("isc_endpoint_state", &[("state", "watching")]),
    };
    clear(world, workspaces).await?;
    Ok(cost)
}

/// As many in each workspace, all waiting for a gate that nobody opens.
async fn spread(teams: &[Team], requests: usize) -> Result<()> {
    let spec = json!({"params": {"gate": "never"}});
    let begun = clock::now();
    let makes = (0..requests).map(|number| {
        let (team, spec) = (&teams[number % teams.len()], &spec);
        let name = format!("wide-{number}");
        async move { make(team, &name, SERVICES[0], spec).await.map(drop) }
    });
    let all = stream::iter(makes).buffer_unordered(AT_A_TIME);
    all.try_for_each(|()| async { Ok(()) }).await?;
    let took = clock::now().saturating_sub(begun).as_secs_f32();
    println!(
        "  {requests} requests made in {} workspaces in {took:.1} s",
        teams.len()
    );
    Ok(())
}

/// When the watcher says that it is ready: it has listed everything.
async fn listed(world: &World) -> Result<Duration> {
    wait::until("the watcher is ready", LIMIT, async || {
        let (code, body) = isc::readiness(world.watcher.admin).await?;
        ensure!(code == 200, "/readyz answers {code}: {body}");
        Ok(clock::now())
    })
    .await
}

async fn first_ticket(world: &World) -> Result<Duration> {
    wait::until("a ticket is out", LIMIT, async || {
        let metrics = world.watcher.metrics().await?;
        let out = metrics.sum("isc_tickets_total", &[("result", "confirmed")]);
        ensure!(out > 0.5, "none is");
        Ok(clock::now())
    })
    .await
}

/// Removes all requests, and waits until the watcher has forgotten them and their jobs have ended.
async fn clear(world: &mut World, workspaces: usize) -> Result<()> {
    let deletes = world.teams[..workspaces].iter().map(|team| async move {
        let (how, all) = (DeleteParams::default(), ListParams::default());
        let requests = team.requests("default");
        wait::until("the requests are deleted", LIMIT, async || {
            requests.delete_collection(&how, &all).await?;
            Ok(())
        })
        .await
    });
    let all = stream::iter(deletes).buffer_unordered(AT_A_TIME);
    all.try_for_each(|()| async { Ok(()) }).await?;
    wait::until("all requests are forgotten", LIMIT, async || {
        world.watcher.process.check_alive()?;
        let metrics = world.watcher.metrics().await?;
        let known = metrics.sum("isc_requests", &[]);
        ensure!(known < 0.5, "{known} are known");
        Ok(())
    })
    .await
}

/// The watches that kcp serves, everybody's, once their number stands still.
async fn still(world: &World) -> Result<f64> {
    let mut last = (watches(world).await?, clock::now());
    wait::until("kcp's watches stand still", LIMIT, async || {
        let now = watches(world).await?;
        if (now - last.0).abs() > 0.1 {
            last = (now, clock::now());
        }
        ensure!(
            clock::now().saturating_sub(last.1) >= STILL,
            "there are {now}"
        );
        Ok(now)
    })
    .await
}

async fn watches(world: &World) -> Result<f64> {
    let client = Who::Admin.client(&world.env, "root").await?;
    let request = http::Request::get("/metrics").body(vec![])?;
    let metrics = Metrics::of(client.request_text(request).await?);
    Ok(metrics.sum("apiserver_longrunning_requests", &[("verb", "WATCH")]))
}

// === impl Cost ===

impl Cost {
    fn row(&self) -> String {
        format!(
            "{:10}  {:8}  {:8.1}  {:8.1}  {:5.1}  {:11.1}  {:7.1}  {:5.1}  {:7}  {:7}",
            self.workspaces,
            self.requests,
            self.listed,
            self.ticket,
            self.job,
            self.resident_mb,
            self.peak_mb,
            self.cpu_seconds,
            self.watches,
            self.sources,
        )
    }
}
