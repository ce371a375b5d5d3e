//! The most that kcp allows: a request is made, and one bare status patch ends it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
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
        at_a_time: usize,
    ) -> Result<Duration> {
        let begun = Instant::now();
        load::each(0..count, at_a_time, async |number| {
            let (tenant, made) = asked.make(ground, number).await?;
            self.end(&tenant.controller, &made).await
        })
        .await?;
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
