//! Sends spans to the collector, in batches, and never makes anybody wait for it.
//!
//! The batches are made here and not by the SDK's own processor, which has a thread and counts what it drops
//! where nobody can read it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::collector::{Collector, Tls};
use crate::{config::ConfigError, nag::Nag, tls::TlsError};

/// Spans that are sent at once at most,
const BATCH: usize = 512;
/// and how long the first of them waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// How long the collector may take for a batch, with all tries.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last batches may take at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The section is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The name of the collector is none.
    #[error("`tracing.tls.serverName` is `{0}`: write it as in otel-collector")]
    ServerName(String),
    /// The files of `tracing.tls` cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The library objects, as to a variable of its own.
    #[error("spans cannot be sent: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Spans by what became of them. Cheap to clone; clones share the figures.
#[derive(Clone, Debug)]
pub struct Counts(Family<ResultLabel, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Sends what a tracer records.
pub struct Exporter {
    spans: mpsc::Receiver<SpanData>,
    library: SpanExporter,
    tls: Option<Arc<Tls>>,
    counts: Counts,
    nag: Nag,
    /// Spans that are on their way.
    sending: usize,
}

// === impl Counts ===

impl Default for Counts {
    fn default() -> Self {
        let counts = Self(Family::default());
        for result in ["exported", "failed", "dropped"] {
            counts.add(result, 0);
        }
        counts
    }
}

impl Counts {
    /// Shows them.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Spans by what became of them";
        registry.register("isc_spans", help, self.0.clone());
    }

    pub(super) fn add(&self, result: &'static str, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.0.get_or_create(&ResultLabel { result }).inc_by(spans);
    }
}

// === impl Exporter ===

impl Exporter {
    pub(super) fn new(
        collector: &Collector,
        names: impl IntoIterator<Item = KeyValue>,
        spans: mpsc::Receiver<SpanData>,
        counts: Counts,
    ) -> Result<Self, TraceError> {
        let mut library = SpanExporter::builder()
            .with_tonic()
            .with_timeout(TIMEOUT)
            .with_channel(collector.channel())
            .build()?;
        // With what OTEL_RESOURCE_ATTRIBUTES says, such as the pod.
        library.set_resource(&Resource::builder().with_attributes(names).build());
        Ok(Self {
            spans,
            library,
            tls: collector.tls.clone(),
            counts,
            nag: Nag::new("the OpenTelemetry collector"),
            sending: 0,
        })
    }

    /// What it counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Runs until cancelled; then it sends what is left, as far as that is quick.
    pub async fn run(mut self, stop: CancellationToken) {
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(FLUSH).await;
        };
        let fresh = keep_fresh(self.tls.clone(), stop.clone());
        tokio::select! {
            () = self.export(&stop) => {}
            () = late => {}
            never = fresh => match never {},
        }
        self.counts.add("dropped", self.sending + self.spans.len());
    }

    async fn export(&mut self, stop: &CancellationToken) {
        while let Some(batch) = self.batch(stop).await {
            self.sending = batch.len();
            self.send(batch).await;
            self.sending = 0;
        }
    }

    /// The next spans, as soon as there are many or the first has waited; none when all is over.
    async fn batch(&mut self, stop: &CancellationToken) -> Option<Vec<SpanData>> {
        let first = tokio::select! {
            biased;
            first = self.spans.recv() => first,
            () = stop.cancelled() => None,
        };
        let mut batch = vec![first?];
        let until = Instant::now() + LINGER;
        while batch.len() < BATCH {
            tokio::select! {
                biased;
                Some(span) = self.spans.recv() => batch.push(span),
                () = tokio::time::sleep_until(until) => break,
                () = stop.cancelled() => break,
            }
        }
        Some(batch)
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        // The exporter's own limit does not cover a call that hangs.
        let sent = tokio::time::timeout(TIMEOUT, self.library.export(batch)).await;
        let trouble = match sent {
            Ok(Ok(())) => {
                self.nag.well();
                return self.counts.add("exported", spans);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".into(),
        };
        self.counts.add("failed", spans);
        self.nag.trouble(&format!("spans are lost: {trouble}"));
    }
}

async fn keep_fresh(tls: Option<Arc<Tls>>, stop: CancellationToken) -> Infallible {
    if let Some(tls) = tls {
        tls.credentials.keep_fresh(stop).await;
    }
    std::future::pending().await
}
