//! Making many requests, and waiting for their ends.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    ground::{Ground, NAMESPACE, Tenant},
    report::whole,
};

/// So many requests are being made at a time.
const MAKERS: usize = 32;
/// All requests of a run end in far less time, or something is wrong.
const LIMIT: Duration = Duration::from_secs(900);
/// Between two looks at how many have ended: each may cost a scrape, and half of this is added to what a run takes,
/// on average.
const LOOK: Duration = Duration::from_millis(100);

/// How many requests a run keeps under way: far more than end between two looks, and so few that none waits for long.
pub(crate) const UNDER_WAY: usize = 128;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Of their names.
    pub(crate) prefix: &'a str,
    pub(crate) service: &'a str,
}

// === impl Asked ===

impl Asked<'_> {
    /// Makes one request of the tenant whose turn it is.
    pub(crate) async fn make<'g>(
        &self,
        ground: &'g Ground,
        number: usize,
    ) -> Result<(&'g Tenant, DynamicObject)> {
        let tenant = &ground.tenants[number % ground.tenants.len()];
        let name = format!("{}-{number}", self.prefix);
        let spec = json!({"params": {"artifact": "registry/app:1.0", "number": number}});
        let object = tenant.team.object(&name, self.service, &spec)?;
        let api = tenant.team.requests(NAMESPACE);
        let made = api.create(&PostParams::default(), &object).await?;
        Ok((tenant, made))
    }

    /// Makes so many, [`UNDER_WAY`] at a time, and waits until all have ended, as `ended` tells.
    pub(crate) async fn run(
        &self,
        ground: &Ground,
        count: usize,
        ended: impl AsyncFn() -> Result<f64>,
    ) -> Result<()> {
        let places = Semaphore::new(UNDER_WAY.min(count));
        let make = each(0..count, MAKERS, async |number| {
            places.acquire().await?.forget();
            self.make(ground, number).await.map(drop)
        });
        let watch = until_ended(count, ended, |more| places.add_permits(more));
        tokio::try_join!(make, watch)?;
        Ok(())
    }

    /// Makes so many, as fast as kcp takes them.
    pub(crate) async fn flood(&self, ground: &Ground, count: usize) -> Result<()> {
        each(0..count, MAKERS, async |number| {
            self.make(ground, number).await.map(drop)
        })
        .await
    }
}

/// Does that for all numbers, so many at a time.
pub(crate) async fn each(
    numbers: Range<usize>,
    at_a_time: usize,
    one: impl AsyncFn(usize) -> Result<()>,
) -> Result<()> {
    let numbers = stream::iter(numbers).map(Ok::<usize, anyhow::Error>);
    numbers
        .try_for_each_concurrent(at_a_time, async |number| one(number).await)
        .await
}

/// Waits until so many requests have ended, as `ended` tells, and passes on how many more it finds at each look.
pub(crate) async fn until_ended(
    requests: usize,
    ended: impl AsyncFn() -> Result<f64>,
    more: impl Fn(usize),
) -> Result<()> {
    let begun = Instant::now();
    let mut known = 0;
    while known < requests {
        tokio::time::sleep(LOOK).await;
        let now = whole(ended().await?);
        more(now - known);
        known = now;
        ensure!(
            begun.elapsed() < LIMIT,
            "{known} of {requests} requests have ended after {} s",
            LIMIT.as_secs()
        );
    }
    Ok(())
}
