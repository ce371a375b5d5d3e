//! Making many requests, and waiting for their ends.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DynamicObject, PostParams};
use serde_json::json;

use crate::{
    ground::{Ground, NAMESPACE, Tenant},
    report::number,
};

/// So many requests are being made at a time.
const MAKERS: usize = 32;
/// All requests of a run end in far less time, or something is wrong.
const LIMIT: Duration = Duration::from_secs(900);
/// Between two looks at how many have ended: each may cost a scrape, and half of this is added to what a run takes,
/// on average.
const LOOK: Duration = Duration::from_millis(200);

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

/// Waits until so many requests have ended, as `ended` tells.
pub(crate) async fn until_ended(
    requests: usize,
    ended: impl AsyncFn() -> Result<f64>,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let ended = ended().await?;
        if ended >= number(requests) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < LIMIT,
            "{ended} of {requests} requests have ended after {} s",
            LIMIT.as_secs()
        );
        tokio::time::sleep(LOOK).await;
    }
}
