//! What is counted and used while something is measured.

use std::{collections::BTreeMap, ops::Sub, time::Duration};

use anyhow::{Context as _, Result};
use isc_tests::usage::cpu_within;
use serde::Serialize;
use serde_json::Value;

use crate::{ground::Ground, product::Product};

/// RabbitMQ counts what happened up to so long ago.
pub(crate) const BROKER_COUNTS: Duration = Duration::from_secs(6);

/// Whose processor time is told, by the names of their folders.
pub(crate) const WHO: [&str; 5] = ["kcp", "rabbitmq", "watcher", "workers", "peer"];

/// Counters, of one moment or between two.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Cost {
    /// Statuses that were written, or tried to be.
    pub(crate) status_writes: f64,
    /// Calls of the product to kcp, status writes among them.
    pub(crate) api_calls: f64,
    /// Messages on the workers' streams, both ways.
    pub(crate) grpc_messages: f64,
    /// Messages that were published, delivered or acknowledged at the broker.
    pub(crate) amqp_messages: f64,
    /// What kcp served of requests, by its own count: a patch through a virtual workspace is three.
    pub(crate) kcp_served: f64,
    /// Seconds of a processor.
    pub(crate) cpu_seconds: BTreeMap<&'static str, f64>,
}

// === impl Cost ===

impl Cost {
    /// Of one, when this is of so many.
    pub(crate) fn each(mut self, of: f64) -> Self {
        let counts = [
            &mut self.status_writes,
            &mut self.api_calls,
            &mut self.grpc_messages,
            &mut self.amqp_messages,
            &mut self.kcp_served,
        ];
        for count in counts.into_iter().chain(self.cpu_seconds.values_mut()) {
            *count /= of;
        }
        self
    }

    /// Processor time for people, milliseconds.
    pub(crate) fn cpu(&self) -> String {
        let used = self.cpu_seconds.iter().filter(|(_, s)| **s > 1e-5);
        let all: Vec<String> = used
            .map(|(who, s)| format!("{who} {:.2}", s * 1e3))
            .collect();
        all.join(", ")
    }

    /// For people.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("messages on streams", format!("{:.2}", self.grpc_messages)),
            (
                "messages at the broker",
                format!("{:.2}", self.amqp_messages),
            ),
            ("calls that kcp served", format!("{:.2}", self.kcp_served)),
        ];
        let cpu = self.cpu_seconds.iter();
        rows.extend(cpu.map(|(who, s)| (*who, format!("{:.2} ms of a processor", s * 1e3))));
        rows
    }

    /// Everything so far, of the servers alone where there is no product.
    pub(crate) async fn so_far(ground: &Ground, product: Option<&Product>) -> Result<Self> {
        let cpu_seconds = cpu(ground);
        let kcp = ground.kcp_metrics().await?;
        let servers = Self {
            kcp_served: kcp.sum("apiserver_request_total", &[("resource", "requests")]),
            cpu_seconds,
            ..Self::default()
        };
        let Some(product) = product else {
            return Ok(servers);
        };
        let watcher = product.watcher.metrics().await?;
        Ok(Self {
            status_writes: watcher.sum("isc_status_writes_total", &[]),
            api_calls: watcher.sum("isc_api_calls_total", &[]),
            grpc_messages: watcher.sum("isc_session_messages_total", &[]),
            amqp_messages: amqp(ground).await?,
            ..servers
        })
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let cpu = self.cpu_seconds.into_iter();
        Self {
            status_writes: self.status_writes - before.status_writes,
            api_calls: self.api_calls - before.api_calls,
            grpc_messages: self.grpc_messages - before.grpc_messages,
            amqp_messages: self.amqp_messages - before.amqp_messages,
            kcp_served: self.kcp_served - before.kcp_served,
            cpu_seconds: cpu
                .map(|(who, now)| (who, now - before.cpu_seconds.get(who).unwrap_or(&0.0)))
                .collect(),
        }
    }
}

/// Seconds of a processor that everybody has used so far; jobs count for their worker.
fn cpu(ground: &Ground) -> BTreeMap<&'static str, f64> {
    let of = |who| (who, cpu_within(&ground.dir.join(who)));
    WHO.map(of).into()
}

async fn amqp(ground: &Ground) -> Result<f64> {
    let overview = ground.env.broker.call("GET", "/api/overview").await?;
    let overview: Value = serde_json::from_str(&overview).context("RabbitMQ's overview")?;
    let of = |what: &str| overview["message_stats"][what].as_f64().unwrap_or(0.0);
    Ok(of("publish") + of("deliver_get") + of("ack"))
}
