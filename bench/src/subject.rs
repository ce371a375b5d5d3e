//! One way after the other to get requests to their end, each alone on the same ground.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{
    cores::Cores,
    cost::{BROKER_COUNTS, Cost},
    ground::Ground,
    limit::{Limit, Watched},
    load::Asked,
    pace::{Latencies, Pace},
    peers::Peer,
    product::{Job, Product, Shape},
    report::number,
};

/// Workspaces.
const TENANTS: usize = 4;
/// Enough slots to keep the status writer busy while outcomes wait to be recorded.
const WORKERS: usize = 4;
const SLOTS: u32 = 16;
/// What runs before anything is measured: the first requests of a new kcp take longer.
const WARM_UP: usize = 300;
/// Of all requests, one after the other: they are deleted in between.
const PREFIX: &str = "bench";

/// The ground, and what stands on it in turn.
pub(crate) struct Bench {
    pub(crate) ground: Ground,
    pub(crate) limit: Limit,
}

/// Requests that were run as fast as they could be.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Requests a second, from the first until the last has ended.
    pub(crate) rate: f64,
    /// Of one request.
    pub(crate) cost: Cost,
}

// === impl Bench ===

impl Bench {
    /// Starts the servers, and takes from the product what a status looks like.
    pub(crate) async fn start(cores: Cores) -> Result<Self> {
        println!("kcp and RabbitMQ start; {TENANTS} workspaces are bound");
        let ground = Ground::start(TENANTS, cores).await?;
        let product = Product::start(&ground, Self::shape(Job::Exec)).await?;
        let limit = Limit::new(product.example(&ground).await?);
        product.stop().await?;
        let bench = Self { ground, limit };
        bench.limit(WARM_UP, 16, Watched::No).await?;
        Ok(bench)
    }

    /// The workers of most measurements.
    pub(crate) fn shape(job: Job) -> Shape {
        Shape {
            job,
            workers: WORKERS,
            slots: SLOTS,
        }
    }

    /// The limit with so many requests under way.
    pub(crate) async fn limit(
        &self,
        requests: usize,
        at_a_time: usize,
        watched: Watched,
    ) -> Result<Run> {
        let (ground, asked) = (&self.ground, asked(Job::Handler));
        let before = Cost::so_far(ground, None).await?;
        let run = self
            .limit
            .run(ground, asked, requests, (at_a_time, watched));
        let took = run.await?;
        let cost = Cost::so_far(ground, None).await? - before;
        let how = match watched {
            Watched::Yes => ", watched",
            Watched::No => "",
        };
        let title = format!("limit{how}, {at_a_time} at a time");
        self.done(&title, requests, took, cost).await
    }

    /// The product with workers of that shape.
    pub(crate) async fn product(&self, shape: Shape, requests: usize) -> Result<Run> {
        let product = Product::start(&self.ground, shape).await?;
        let before = Cost::so_far(&self.ground, Some(&product)).await?;
        let ended = product.ended().await?;
        let begun = Instant::now();
        let asked = asked(shape.job);
        let run = asked.run(&self.ground, requests, async || {
            Ok(product.ended().await? - ended)
        });
        run.await?;
        let took = begun.elapsed();
        tokio::time::sleep(BROKER_COUNTS).await;
        let cost = Cost::so_far(&self.ground, Some(&product)).await? - before;
        product.stop().await?;
        let title = format!(
            "product, {:?} in {} workers with {} slots",
            shape.job, shape.workers, shape.slots
        );
        self.done(&title, requests, took, cost).await
    }

    /// What one could use instead.
    pub(crate) async fn peer(&self, peer: Peer, job: Job, requests: usize) -> Result<Run> {
        let running = peer.start(&self.ground, job).await?;
        let before = Cost::so_far(&self.ground, None).await?;
        let begun = Instant::now();
        let asked = asked(job);
        let run = asked.run(&self.ground, requests, async || Ok(running.ended()));
        run.await.with_context(|| running.tail())?;
        let took = begun.elapsed();
        let cost = Cost::so_far(&self.ground, None).await? - before;
        running.stop().await?;
        let title = format!("{peer:?}, {job:?}");
        self.done(&title, requests, took, cost).await
    }

    /// Latencies of the limit.
    pub(crate) async fn limit_at(&self, pace: Pace) -> Result<Latencies> {
        let asked = asked(Job::Handler);
        let found = pace.run(&self.ground, asked, Some(&self.limit)).await?;
        println!("  limit: {}", found.line());
        self.ground.clear().await?;
        Ok(found)
    }

    /// Latencies of the product, and the most memory that its watcher needed, MB (2^20 bytes).
    pub(crate) async fn product_at(&self, pace: Pace, job: Job) -> Result<(Latencies, f64)> {
        let product = Product::start(&self.ground, Self::shape(job)).await?;
        let found = pace.run(&self.ground, asked(job), None).await?;
        println!("  product, {job:?}: {}", found.line());
        let peak = product.watcher.process.usage()?.peak_mb;
        product.stop().await?;
        self.ground.clear().await?;
        Ok((found, peak))
    }

    /// Checks that all have succeeded, and removes them.
    async fn done(&self, who: &str, requests: usize, took: Duration, cost: Cost) -> Result<Run> {
        let run = Run {
            rate: number(requests) / took.as_secs_f64(),
            cost: cost.each(number(requests)),
        };
        let (rate, cpu) = (run.rate, run.cost.cpu());
        println!("  {who}: {requests} requests, {rate:.1}/s (ms of a processor each: {cpu})");
        self.ground.succeeded(requests).await?;
        self.ground.clear().await?;
        Ok(run)
    }
}

fn asked(job: Job) -> Asked<'static> {
    Asked {
        prefix: PREFIX,
        service: job.service(),
    }
}
