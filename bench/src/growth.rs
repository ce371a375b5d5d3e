//! What grows with what: requests stored and waiting, workspaces, workers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use isc_tests::wait;
use serde::{Deserialize, Serialize};

use crate::{
    ground::PAGE,
    load::{self, Asked},
    product::{Job, Product, Shape},
    report::number,
    subject::Bench,
};

/// kcp takes more than this in a minute, however busy.
const LIMIT: Duration = Duration::from_secs(1800);
/// So many requests are being ended at a time.
const AT_A_TIME: usize = 32;
const NO_WORKERS: Shape = Shape {
    job: Job::Exec,
    workers: 0,
    slots: 1,
};
/// Bytes of a MB, as memory is told.
const MB: f64 = 1024.0 * 1024.0;

/// A watcher that starts beside so many finished requests.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stored {
    pub(crate) requests: usize,
    /// All of them, in pages, through the virtual workspace.
    pub(crate) list_seconds: f64,
    /// From the start of the process until it says that it is ready.
    pub(crate) start_seconds: f64,
    /// Resident memory then, MB.
    pub(crate) memory_mb: f64,
    /// What each has added to that of a watcher without requests, bytes.
    pub(crate) bytes_each: f64,
}

/// A watcher with so many waiting requests.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waiting {
    pub(crate) requests: usize,
    pub(crate) memory_mb: f64,
    pub(crate) bytes_each: f64,
}

/// Throughput in so many workspaces, or with so many workers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rate {
    pub(crate) of: usize,
    pub(crate) per_second: f64,
    /// Of the watcher, milliseconds of a processor a request.
    pub(crate) watcher_cpu_ms: f64,
}

/// The part of a page of a list that leads to the next.
#[derive(Deserialize)]
struct Page {
    metadata: Next,
    items: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Next {
    #[serde(rename = "continue")]
    next: Option<String>,
}

// === impl Bench ===

impl Bench {
    /// Fills kcp with finished requests and starts a watcher beside them, at each of these numbers.
    pub(crate) async fn stored(&self, numbers: &[usize]) -> Result<Vec<Stored>> {
        let empty = self.start_watcher().await?.memory_mb;
        let mut all = Vec::new();
        let mut made = 0;
        for &requests in numbers {
            self.finished(made..requests).await?;
            made = requests;
            let list_seconds = self.list(requests).await?;
            let found = self.start_watcher().await?;
            let stored = Stored {
                requests,
                list_seconds,
                start_seconds: found.seconds,
                memory_mb: found.memory_mb,
                bytes_each: (found.memory_mb - empty) * MB / number(requests),
            };
            println!("  {stored:?}");
            all.push(stored);
        }
        self.ground.clear().await?;
        Ok(all)
    }

    /// Makes requests that nobody can run, while a watcher watches.
    pub(crate) async fn waiting(&self, numbers: &[usize]) -> Result<Vec<Waiting>> {
        let product = Product::start(&self.ground, NO_WORKERS).await?;
        let empty = product.watcher.process.usage()?.resident_mb;
        let mut all = Vec::new();
        let mut made = 0;
        for &requests in numbers {
            let prefix = format!("waiting-{requests}");
            let asked = Asked {
                prefix: &prefix,
                service: Job::Exec.service(),
            };
            asked.flood(&self.ground, requests - made).await?;
            made = requests;
            wait::until("all requests wait", LIMIT, async || {
                let metrics = product.watcher.metrics().await?;
                let known = metrics.sum("isc_requests", &[("phase", "Queued")]);
                ensure!(known >= number(requests), "{known} of {requests}");
                let unwritten = metrics.sum("isc_status_backlog", &[]);
                ensure!(unwritten < 0.5, "{unwritten} statuses are to be written");
                Ok(())
            })
            .await?;
            let memory_mb = product.watcher.process.usage()?.resident_mb;
            let waiting = Waiting {
                requests,
                memory_mb,
                bytes_each: (memory_mb - empty) * MB / number(requests),
            };
            println!("  {waiting:?}");
            all.push(waiting);
        }
        product.stop().await?;
        self.ground.clear().await?;
        Ok(all)
    }

    /// Throughput in so many workspaces.
    pub(crate) async fn tenants(
        &mut self,
        numbers: &[usize],
        requests: usize,
    ) -> Result<Vec<Rate>> {
        let mut all = Vec::new();
        for &of in numbers {
            self.ground.widen(of).await?;
            let others = self.ground.tenants.split_off(of);
            let rate = self.rate(Self::shape(Job::Handler), of, requests).await;
            self.ground.tenants.extend(others);
            all.push(rate?);
        }
        Ok(all)
    }

    /// Throughput with so many workers.
    pub(crate) async fn workers(&self, numbers: &[usize], requests: usize) -> Result<Vec<Rate>> {
        let mut all = Vec::new();
        for &workers in numbers {
            let shape = Shape {
                job: Job::Handler,
                workers,
                slots: 8,
            };
            all.push(self.rate(shape, workers, requests).await?);
        }
        Ok(all)
    }

    async fn rate(&self, shape: Shape, of: usize, requests: usize) -> Result<Rate> {
        let run = self.product(shape, requests).await?;
        Ok(Rate {
            of,
            per_second: run.rate,
            watcher_cpu_ms: run.cost.cpu_seconds["watcher"] * 1e3,
        })
    }

    async fn start_watcher(&self) -> Result<Started> {
        let begun = Instant::now();
        let product = Product::start(&self.ground, NO_WORKERS).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let memory_mb = product.watcher.process.usage()?.resident_mb;
        product.stop().await?;
        Ok(Started { seconds, memory_mb })
    }

    /// Makes and ends requests by hand.
    async fn finished(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let asked = Asked {
            prefix: "stored",
            service: Job::Exec.service(),
        };
        load::each(numbers, AT_A_TIME, async |number| {
            let (tenant, made) = asked.make(&self.ground, number).await?;
            self.limit.end(&tenant.shard, &made).await
        })
        .await
    }

    /// The raw list of all requests, in pages; how long it took, seconds.
    async fn list(&self, requests: usize) -> Result<f64> {
        let begun = Instant::now();
        let (mut found, mut next) = (0, String::new());
        loop {
            let path = format!(
                "/clusters/*/apis/internal.services/v1alpha1/requests?limit={PAGE}&continue={next}"
            );
            let request = http::Request::get(path).body(Vec::new())?;
            let text = self.ground.everywhere.request_text(request).await?;
            let page: Page = serde_json::from_str(&text).context("a page of a list")?;
            found += page.items.len();
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(more) => next = more,
                None => break,
            }
        }
        ensure!(found == requests, "{found} requests instead of {requests}");
        Ok(begun.elapsed().as_secs_f64())
    }
}

/// A watcher that has become ready.
struct Started {
    seconds: f64,
    memory_mb: f64,
}
