//! Everything: throughput and latency beside the limit and beside others, and what grows with what.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::{
    cost::Cost,
    growth::{Rate, Stored, Waiting},
    limit::Watched,
    pace::{Latencies, Pace},
    peers::Peer,
    plot,
    product::Job,
    report::{self, mean},
    subject::{Bench, Run},
    tables,
};

/// So many requests of the limit are under way; the best counts.
const AT_A_TIME: [usize; 4] = [8, 16, 32, 64];
/// The product's place among the subjects: after the limit, alone and watched.
const PRODUCT: usize = 2;
/// Each subject runs so often, in turn with the others.
const ROUNDS: usize = 3;
/// Of the most that the product can do.
const SHARES: [f64; 3] = [0.1, 0.5, 0.9];
/// As many as there are slots.
const STEADY: usize = 64;
const STORED: [usize; 4] = [1_000, 10_000, 50_000, 100_000];
const WAITING: [usize; 3] = [1_000, 10_000, 50_000];
const TENANTS: [usize; 4] = [1, 10, 100, 500];
const WORKERS: [usize; 4] = [1, 4, 16, 64];

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Requests of each run that finds a throughput.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// How long latencies are measured at each pace, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// All numbers of what grows are divided by this.
    #[arg(long, default_value_t = 1)]
    less: usize,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
}

/// A part of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Throughput,
    Latency,
    Progress,
    Stored,
    Waiting,
    Tenants,
    Workers,
}

/// What is written to bench.json. A part that was left out is empty.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Found {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) paces: Vec<AtPace>,
    /// Of one request that tells of its progress.
    pub(crate) steady: Option<Cost>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) tenants: Vec<Rate>,
    pub(crate) workers: Vec<Rate>,
}

/// Somebody's throughput.
#[derive(Debug, Serialize)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Requests a second, in each round.
    pub(crate) rates: Vec<f64>,
    /// Their mean, by that of the limit.
    pub(crate) ratio: f64,
    /// Of one request, in the last round.
    pub(crate) cost: Cost,
}

/// Latencies at a share of the most that the product can do.
#[derive(Debug, Serialize)]
pub(crate) struct AtPace {
    pub(crate) share: f64,
    pub(crate) limit: Latencies,
    pub(crate) product: Latencies,
}

pub(crate) async fn run(mut bench: Bench, args: Args) -> Result<()> {
    let found = Found::of(&mut bench, &args).await?;
    println!("\n{}", tables::all(&found));
    plot::all(&found)?;
    report::write("bench.json", &found)
}

// === impl Found ===

impl Found {
    async fn of(bench: &mut Bench, args: &Args) -> Result<Self> {
        let wants = |part| args.only.is_empty() || args.only.contains(&part);
        let mut found = Self::default();
        if wants(Part::Throughput) || wants(Part::Latency) {
            found.subjects = throughputs(bench, args).await?;
        }
        if wants(Part::Latency) {
            let most = mean(&found.subjects[PRODUCT].rates);
            found.paces = paces(bench, args, most).await?;
        }
        if wants(Part::Progress) {
            let run = bench.product(Bench::shape(Job::Steady), STEADY).await?;
            found.steady = Some(run.cost);
        }
        let less = |numbers: &[usize]| -> Vec<usize> {
            numbers.iter().map(|n| (n / args.less).max(1)).collect()
        };
        if wants(Part::Workers) {
            found.workers = bench.workers(&less(&WORKERS), args.requests).await?;
        }
        if wants(Part::Waiting) {
            found.waiting = bench.waiting(&less(&WAITING)).await?;
        }
        if wants(Part::Stored) {
            found.stored = bench.stored(&less(&STORED)).await?;
        }
        // Last: many workspaces are a burden for kcp.
        if wants(Part::Tenants) {
            found.tenants = bench.tenants(&less(&TENANTS), args.requests).await?;
        }
        Ok(found)
    }
}

/// The limit, the product and the others, in turn.
async fn throughputs(bench: &Bench, args: &Args) -> Result<Vec<Subject>> {
    let requests = args.requests;
    let mut tried = Vec::new();
    for at_a_time in AT_A_TIME {
        let run = bench.limit(requests, at_a_time, Watched::No).await?;
        tried.push((run.rate, at_a_time));
    }
    let best = tried.iter().max_by(|a, b| a.0.total_cmp(&b.0));
    let at_a_time = best.map_or(AT_A_TIME[0], |(_, at_a_time)| *at_a_time);
    let mut limit = Subject::new(format!("limit, {at_a_time} at a time"));
    let mut watched = Subject::new("limit, while somebody watches".to_owned());
    let mut products =
        [Job::Handler, Job::Exec].map(|job| (job, Subject::new(format!("product, {job:?}"))));
    let mut others = [
        (Peer::Naive, Job::Handler),
        (Peer::Naive, Job::Exec),
        (Peer::Celery, Job::Handler),
        (Peer::Celery, Job::Exec),
    ]
    .map(|(peer, job)| (peer, job, Subject::new(format!("{peer:?}, {job:?}"))));
    for _round in 0..ROUNDS {
        limit.add(bench.limit(requests, at_a_time, Watched::No).await?);
        watched.add(bench.limit(requests, at_a_time, Watched::Yes).await?);
        for (job, subject) in &mut products {
            subject.add(bench.product(Bench::shape(*job), requests).await?);
        }
        for (peer, job, subject) in &mut others {
            subject.add(bench.peer(*peer, *job, requests).await?);
        }
    }
    let rate = mean(&limit.rates);
    let products = products.into_iter().map(|(_, subject)| subject);
    let others = others.into_iter().map(|(_, _, subject)| subject);
    let all = [limit, watched].into_iter().chain(products).chain(others);
    Ok(all.map(|subject| subject.against(rate)).collect())
}

/// Latencies of the limit and of the product at the same paces.
async fn paces(bench: &Bench, args: &Args, most: f64) -> Result<Vec<AtPace>> {
    let mut all = Vec::new();
    for share in SHARES {
        let pace = Pace {
            rate: most * share,
            lasts: Duration::from_secs(args.seconds),
        };
        all.push(AtPace {
            share,
            limit: bench.limit_at(pace).await?,
            product: bench.product_at(pace, Job::Handler).await?.0,
        });
    }
    Ok(all)
}

// === impl Subject ===

impl Subject {
    fn new(name: String) -> Self {
        Self {
            name,
            rates: Vec::new(),
            ratio: f64::NAN,
            cost: Cost::default(),
        }
    }

    fn add(&mut self, run: Run) {
        self.rates.push(run.rate);
        self.cost = run.cost;
    }

    fn against(mut self, limit: f64) -> Self {
        self.ratio = mean(&self.rates) / limit;
        self
    }
}
