//! Status writes: the whole status, on the version that the engine knows, of that very object.

use std::sync::PoisonError;

use isc_core::engine::{Event, Write, WriteResult};
use serde::Deserialize;
use serde_json::json;

use super::{
    client::{CallError, Clients},
    explain::explain,
    object::Light,
};
use crate::metrics::{Metrics, WriteLabel};

/// Asks for the metadata alone: the parameters, up to 256 KiB, would come back with each write.
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// The part of an answer that matters.
#[derive(Deserialize)]
struct Versioned {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

// === impl Clients ===

impl Clients {
    /// Writes a status.
    pub(crate) async fn write(&self, write: &Write, metrics: &Metrics) -> Event {
        let (label, result) = match self.patch(write).await {
            Ok(version) => ("ok", WriteResult::Ok(version)),
            Err(CallError::Timeout(_)) => ("timeout", WriteResult::Retry),
            Err(error) => match error.code() {
                409 => ("conflict", self.read_again(write).await),
                422 => ("refused", self.refused(write, &error).await),
                403 => {
                    self.forbidden(&error);
                    ("forbidden", WriteResult::Retry)
                }
                _ => {
                    tracing::debug!(request = %write.address, "status write: {}", explain(&error));
                    ("error", WriteResult::Retry)
                }
            },
        };
        metrics
            .status_writes
            .get_or_create(&WriteLabel::new(write.urgency, label))
            .inc();
        Event::Written(write.uid.clone(), result)
    }

    async fn patch(&self, write: &Write) -> Result<String, CallError> {
        let kind = self.kind(&write.address.kind)?;
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": &*write.uid.0},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": write.resource_version},
            {"op": "add", "path": "/status", "value": kind.status_json(write)},
        ]);
        let object = self.object_path(&write.address)?;
        let request = http::Request::patch(format!("{object}/status?fieldManager=isc-watcher"))
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .header(http::header::ACCEPT, METADATA)
            .body(patch.to_string().into_bytes());
        let answer: Versioned = self.call(&write.address.endpoint, request).await?;
        Ok(answer.metadata.resource_version)
    }

    /// Every write is refused the same way, so it is said once a minute. A workspace that was unbound
    /// answers like this too, until the watch has told that its requests are gone.
    fn forbidden(&self, error: &CallError) {
        let mut nag = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        nag.trouble(&explain(error));
    }

    /// A failed `test` means another object; anything else that it cannot be written like this.
    async fn refused(&self, write: &Write, error: &CallError) -> WriteResult {
        let found = self.read_again(write).await;
        if matches!(found, WriteResult::Gone) {
            return found;
        }
        tracing::error!(request = %write.address, "the API server refuses the status: {}", explain(error));
        WriteResult::Retry
    }

    async fn read_again(&self, write: &Write) -> WriteResult {
        match self.get(&write.address).await {
            Ok((_, found)) if found.uid().as_ref() != Some(&write.uid) => WriteResult::Gone,
            Ok((kind, found)) => {
                let light = Light {
                    kind: &kind,
                    services: &self.catalogue(),
                    admission: self.admission(),
                    paths: self.paths(),
                    select: self.select(),
                };
                let seen = found.observe(&self.place(&write.address), &light);
                seen.map_or(WriteResult::Retry, |observation| {
                    WriteResult::Conflict(Box::new(observation))
                })
            }
            // Not there right now: the watch will tell when it is gone.
            Err(_) => WriteResult::Retry,
        }
    }
}
