//! The regression check: the ratios of a change in less than five minutes.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::{
    cost::Cost,
    limit::Watched,
    pace::{Latencies, Pace},
    product::Job,
    report::{self, mean, most},
    subject::Bench,
};

/// So many requests of the limit are under way, in every other round; the better one counts.
const AT_A_TIME: [usize; 2] = [16, 32];

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the limit and the product run, in turn. Many short rounds: a machine is faster at times.
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    /// Requests of each such run.
    #[arg(long, default_value_t = 400)]
    requests: usize,
    /// How long latencies are measured, seconds, twice.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// What the jobs are.
    #[arg(long, default_value = "handler")]
    job: Job,
}

/// What is written to quick.json.
#[derive(Debug, Serialize)]
struct Found {
    /// Requests a second of the product, by those of the limit.
    throughput_ratio: f64,
    status_writes_per_request: f64,
    api_calls_per_request: f64,
    /// Latency at half of the product's throughput, less that of requests that one bare patch ends.
    added_latency_p50_ms: f64,
    added_latency_p99_ms: f64,
    /// The most memory that the watcher needed, MB (2^20 bytes).
    watcher_peak_mb: f64,
    throughput: f64,
    limit: f64,
    limit_cost: Cost,
    cost: Cost,
    latencies: Latencies,
    limit_latencies: Latencies,
}

pub(crate) async fn run(bench: Bench, args: Args) -> Result<()> {
    let found = Found::of(&bench, &args).await?;
    println!("\n{}", found.table());
    report::write("quick.json", &found)
}

// === impl Found ===

impl Found {
    async fn of(bench: &Bench, args: &Args) -> Result<Self> {
        let (mut limits, mut rates) = ([vec![], vec![]], vec![]);
        let (mut limit_cost, mut cost) = (Cost::default(), Cost::default());
        for round in 0..args.rounds.max(AT_A_TIME.len()) {
            let which = round % AT_A_TIME.len();
            let run = bench
                .limit(args.requests, AT_A_TIME[which], Watched::No)
                .await?;
            limits[which].push(run.rate);
            limit_cost = run.cost;
            let run = bench.product(Bench::shape(args.job), args.requests).await?;
            rates.push(run.rate);
            cost = run.cost;
        }
        let (limit, throughput) = (most(&limits.map(|rates| mean(&rates))), mean(&rates));
        let pace = Pace {
            rate: throughput / 2.0,
            lasts: Duration::from_secs(args.seconds),
        };
        let limit_latencies = bench.limit_at(pace).await?;
        let (latencies, watcher_peak_mb) = bench.product_at(pace, args.job).await?;
        Ok(Self {
            throughput_ratio: throughput / limit,
            status_writes_per_request: cost.status_writes,
            api_calls_per_request: cost.api_calls,
            added_latency_p50_ms: latencies.p50_ms - limit_latencies.p50_ms,
            added_latency_p99_ms: latencies.p99_ms - limit_latencies.p99_ms,
            watcher_peak_mb,
            throughput,
            limit,
            limit_cost,
            cost,
            latencies,
            limit_latencies,
        })
    }

    fn table(&self) -> String {
        let plain = |value: f64, digits: usize| format!("{value:.digits$}");
        let mut rows = vec![
            ("throughput, requests/s", plain(self.throughput, 1)),
            ("limit (one bare patch), requests/s", plain(self.limit, 1)),
            ("throughput_ratio", plain(self.throughput_ratio, 3)),
            (
                "status_writes_per_request",
                plain(self.status_writes_per_request, 3),
            ),
            (
                "api_calls_per_request",
                plain(self.api_calls_per_request, 3),
            ),
            ("latency p50 / p95 / p99", self.latencies.line()),
            ("limit, p50 / p95 / p99", self.limit_latencies.line()),
            ("added_latency_p50_ms", plain(self.added_latency_p50_ms, 1)),
            ("added_latency_p99_ms", plain(self.added_latency_p99_ms, 1)),
            ("watcher_peak_mb", plain(self.watcher_peak_mb, 1)),
        ];
        rows.push(("the limit's:", String::new()));
        rows.extend(self.limit_cost.rows());
        rows.push(("the product's:", String::new()));
        rows.extend(self.cost.rows());
        report::pairs(&rows)
    }
}
