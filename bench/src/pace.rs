//! Latencies at a fixed pace, as whoever watches sees them.
//!
//! The loop is open: a request is made when its time has come, however late others are, and its latency counts
//! from that time, so that a stall is not hidden by fewer requests (coordinated omission).

use std::{
    cell::RefCell,
    collections::HashMap,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use isc_tests::wait;
use kube::{
    Api,
    api::{DynamicObject, ListParams, WatchEvent, WatchParams},
};
use serde::Serialize;

use crate::{
    ground::{Ground, NAMESPACE},
    limit::Limit,
    load::Asked,
};

/// More than may be under way at the paces that are measured.
const UNDER_WAY: usize = 512;
/// After the last request was made, all have ended within that time.
const TAIL: Duration = Duration::from_secs(120);

/// A pace, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Requests in a second.
    pub(crate) rate: f64,
    pub(crate) lasts: Duration,
}

/// How long requests took, milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latencies {
    pub(crate) rate: f64,
    pub(crate) requests: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// When requests were to be made, and when their end was seen.
#[derive(Default)]
struct Times {
    planned: HashMap<String, Instant>,
    seen: HashMap<String, Instant>,
}

// === impl Pace ===

impl Pace {
    /// Makes requests at this pace; they end by a bare patch when there is a `limit`, else by whoever serves
    /// them.
    pub(crate) async fn run(
        self,
        ground: &Ground,
        asked: Asked<'_>,
        limit: Option<&Limit>,
    ) -> Result<Latencies> {
        let times = RefCell::new(Times::default());
        let watches = watches(ground).await?;
        let watching = watches.try_for_each(|name| {
            times.borrow_mut().see(name);
            std::future::ready(Ok(()))
        });
        let making = async {
            self.make(ground, asked, limit, &times).await?;
            wait::until("all requests have ended", TAIL, async || {
                let times = times.borrow();
                ensure!(times.is_complete(), "{}", times.missing());
                Ok(())
            })
            .await
        };
        tokio::select! {
            done = making => done?,
            ended = watching => bail!("the watches ended too early: {ended:?}"),
        }
        Ok(times.into_inner().latencies(self.rate))
    }

    async fn make(
        self,
        ground: &Ground,
        asked: Asked<'_>,
        limit: Option<&Limit>,
        times: &RefCell<Times>,
    ) -> Result<()> {
        let begun = Instant::now();
        let gap = Duration::from_secs_f64(1.0 / self.rate);
        let numbers = (0_u32..).map(|number| (number, gap * number));
        let numbers = numbers.take_while(|(_, at)| *at < self.lasts);
        let due = stream::iter(numbers).then(async |(number, at)| {
            tokio::time::sleep_until((begun + at).into()).await;
            Ok::<_, anyhow::Error>((number, begun + at))
        });
        pin!(due)
            .try_for_each_concurrent(UNDER_WAY, async |(number, at)| {
                let name = format!("{}-{number}", asked.prefix);
                times.borrow_mut().planned.insert(name, at);
                let (tenant, made) = asked.make(ground, number as usize).await?;
                match limit {
                    Some(limit) => limit.end(&tenant.controller, &made).await,
                    None => Ok(()),
                }
            })
            .await
    }
}

// === impl Latencies ===

impl Latencies {
    /// The main figures.
    pub(crate) fn line(&self) -> String {
        format!(
            "{:.1} / {:.1} / {:.1} ms at {:.1}/s ({} requests)",
            self.p50_ms, self.p95_ms, self.p99_ms, self.rate, self.requests
        )
    }
}

// === impl Times ===

impl Times {
    fn see(&mut self, name: String) {
        self.seen.entry(name).or_insert_with(Instant::now);
    }

    fn is_complete(&self) -> bool {
        self.planned.keys().all(|name| self.seen.contains_key(name))
    }

    fn missing(&self) -> String {
        let names = self.planned.keys();
        let missing: Vec<_> = names.filter(|n| !self.seen.contains_key(*n)).collect();
        format!("{} requests have not ended: {missing:?}", missing.len())
    }

    fn latencies(&self, rate: f64) -> Latencies {
        let took = self.planned.iter().filter_map(|(name, planned)| {
            let seen = self.seen.get(name)?;
            Some(seen.duration_since(*planned).as_secs_f64() * 1e3)
        });
        let mut took: Vec<f64> = took.collect();
        took.sort_by(f64::total_cmp);
        Latencies {
            rate,
            requests: took.len(),
            p50_ms: at(&took, 50),
            p95_ms: at(&took, 95),
            p99_ms: at(&took, 99),
            max_ms: at(&took, 100),
        }
    }
}

/// The value that so many of a hundred do not exceed.
fn at(sorted: &[f64], share: usize) -> f64 {
    let index = (sorted.len() * share).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// The names of all requests of all tenants whose end is seen, from now on.
async fn watches(ground: &Ground) -> Result<impl stream::Stream<Item = Result<String>> + use<>> {
    let mut all = Vec::new();
    for tenant in &ground.tenants {
        let api = tenant.team.requests(NAMESPACE);
        all.push(ends(api).await?.boxed_local());
    }
    Ok(stream::select_all(all))
}

async fn ends(
    api: Api<DynamicObject>,
) -> Result<impl stream::Stream<Item = Result<String>> + use<>> {
    let list = api.list_metadata(&ListParams::default()).await?;
    let version = list.metadata.resource_version;
    let version = version.context("a list without a version")?;
    let events = api.watch(&WatchParams::default(), &version).await?;
    let names = events.try_filter_map(|event| async move {
        let WatchEvent::Modified(request) = event else {
            return Ok(None);
        };
        let phase = request.data["status"]["phase"].as_str();
        let name = request.metadata.name.filter(|_| phase == Some("Succeeded"));
        Ok(name)
    });
    // The stream lives on when the API, of which it needs nothing more, is gone.
    let names: std::pin::Pin<Box<dyn stream::Stream<Item = _>>> = Box::pin(names);
    Ok(names.map_err(anyhow::Error::from))
}
