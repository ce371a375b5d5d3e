//! The most that kcp allows: a request is made, and one bare status patch ends it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kube::{Client, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    ground::{Ground, NAMESPACE},
    load::{self, Asked},
};

/// A tight client that writes the very status that the product writes.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    status: Value,
}

/// Whether somebody watches all requests meanwhile, as every controller must: what kcp tells is read and thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Yes,
    No,
}

// === impl Watched ===

impl Watched {
    /// Never ends by itself.
    async fn watch(
        self,
        ground: &Ground,
    ) -> Result<impl Future<Output = std::io::Result<u64>> + use<>> {
        let told = if self == Self::Yes {
            let path = "/clusters/*/apis/internal.services/v1alpha1/requests?watch=true";
            let request = http::Request::get(path).body(Vec::new())?;
            Some(ground.everywhere.request_stream(request).await?)
        } else {
            None
        };
        Ok(async {
            match told {
                Some(told) => futures::io::copy(told, &mut futures::io::sink()).await,
                None => std::future::pending().await,
            }
        })
    }
}

// === impl Limit ===

impl Limit {
    /// Writes a status such as that one.
    pub(crate) fn new(status: Value) -> Self {
        Self { status }
    }

    /// Makes and ends so many, so many at a time; how long it took.
    pub(crate) async fn run(
        &self,
        ground: &Ground,
        asked: Asked<'_>,
        count: usize,
        (at_a_time, watched): (usize, Watched),
    ) -> Result<Duration> {
        let watching = watched.watch(ground).await?;
        let begun = Instant::now();
        let writing = load::each(0..count, at_a_time, async |number| {
            let (tenant, made) = asked.make(ground, number).await?;
            self.end(&tenant.controller, &made).await
        });
        tokio::select! {
            done = writing => done?,
            ended = watching => bail!("the watch ended too early: {ended:?}"),
        }
        Ok(begun.elapsed())
    }

    /// One patch, as the product sends it, and with the least that an answer can be.
    pub(crate) async fn end(&self, writer: &Client, made: &DynamicObject) -> Result<()> {
        let meta = &made.metadata;
        let name = meta.name.as_deref().context("a request without a name")?;
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": meta.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": meta.resource_version},
            {"op": "add", "path": "/status", "value": self.status},
        ]);
        let url = format!(
            "/apis/internal.services/v1alpha1/namespaces/{NAMESPACE}/requests/{name}/status?fieldManager=bench"
        );
        let request = http::Request::patch(url)
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .header(
                http::header::ACCEPT,
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            )
            .body(serde_json::to_vec(&patch)?)?;
        writer.request_text(request).await?;
        Ok(())
    }
}
