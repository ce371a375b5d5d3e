//! Requests that are made at a steady pace, and deleted soon after their end.

use std::{cell::Cell, time::Duration};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::super::{AT_A_TIME, Finding, LIMIT, make};
use crate::{
    chaos::{kinds::SERVICES, world::World},
    wait,
};

/// Ended requests are deleted after so long, so that their number does not grow; seconds.
const TTL: u64 = 20;
/// So many are under way while it is tried how many can be.
const UNDER_WAY: f64 = 200.0;
/// Between two looks at how many have ended.
const LOOK: Duration = Duration::from_millis(100);

/// Makes requests and knows how many.
pub(super) struct Load<'a> {
    world: &'a World,
    spec: Value,
    made: Cell<usize>,
}

// === impl Load ===

impl<'a> Load<'a> {
    pub(super) fn of(world: &'a World) -> Self {
        Self {
            world,
            spec: json!({"params": {"millis": 5}, "ttlSecondsAfterFinished": TTL}),
            made: Cell::new(0),
        }
    }

    /// How many requests end in a second while there are always some under way.
    pub(super) async fn at_most(&self, lasts: Duration) -> Result<f64> {
        let begun = Instant::now();
        let (under_way, is_over) = (Cell::new(0.0), Cell::new(false));
        let numbers = stream::iter(0..).take_while(|_| std::future::ready(!is_over.get()));
        let makes = numbers.map(Ok::<usize, anyhow::Error>);
        let many = makes.try_for_each_concurrent(AT_A_TIME, async |_number| {
            while under_way.get() > UNDER_WAY && !is_over.get() {
                tokio::time::sleep(LOOK).await;
            }
            self.one().await
        });
        let look = async {
            while begun.elapsed() < lasts {
                tokio::time::sleep(LOOK).await;
                under_way.set(self.made() - self.succeeded().await?);
            }
            let rate = self.succeeded().await? / begun.elapsed().as_secs_f64();
            is_over.set(true);
            Ok(rate)
        };
        let ((), rate) = tokio::try_join!(many, look)?;
        self.all_ended().await?;
        Ok(rate)
    }

    /// Makes so many a second, however long each takes.
    pub(super) async fn at(&self, rate: f64, lasts: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / rate.max(0.01)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let ticks = stream::poll_fn(move |cx| tick.poll_tick(cx).map(Some));
        let ticks = ticks.take_while(|_at| std::future::ready(begun.elapsed() < lasts));
        let makes = ticks.map(Ok::<Instant, anyhow::Error>);
        makes
            .try_for_each_concurrent(AT_A_TIME, async |_at| self.one().await)
            .await
    }

    /// Whether all that were made have succeeded.
    pub(super) async fn ended(&self, rate: f64) -> Result<Finding> {
        let ended = self.all_ended().await;
        let metrics = self.world.watcher.metrics().await?;
        let lost = metrics.sum("isc_attempts_total", &[]);
        Ok(Finding {
            what: format!(
                "{} requests, {rate:.1} a second, have succeeded at the first attempt{}",
                self.made.get(),
                ended
                    .as_ref()
                    .map_or_else(|error| format!(": {error:#}"), |()| String::new())
            ),
            holds: ended.is_ok() && lost < 0.5,
        })
    }

    async fn one(&self) -> Result<()> {
        let number = self.made.replace(self.made.get() + 1);
        let team = &self.world.teams[number % self.world.teams.len()];
        make(
            team,
            &format!("soak-{number}"),
            SERVICES[number % 2],
            &self.spec,
        )
        .await?;
        Ok(())
    }

    async fn all_ended(&self) -> Result<()> {
        wait::until("all requests have succeeded", LIMIT, async || {
            let ended = self.succeeded().await?;
            ensure!(ended + 0.5 > self.made(), "{ended} of {}", self.made());
            Ok(())
        })
        .await
    }

    async fn succeeded(&self) -> Result<f64> {
        let metrics = self.world.watcher.metrics().await?;
        Ok(metrics.sum("isc_requests_finished_total", &[("reason", "Succeeded")]))
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    fn made(&self) -> f64 {
        self.made.get() as f64
    }
}
