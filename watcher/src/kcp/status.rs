//! The engine's reads and writes of single requests. No call outlives its time; each answer is an event.

use std::sync::Arc;

use isc_core::{
    engine::{Event, Observation, Write, WriteResult},
    ids::{Address, AttemptId, Uid},
};
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::json;

use super::{
    client::{CALL_TIMEOUT, Clients, object_path},
    explain::explain,
    object::{observe, params_text},
};
use crate::metrics::{Metrics, WriteLabel};

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

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("no answer within {CALL_TIMEOUT:?}")]
    Timeout,
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

// === impl Clients ===

impl Clients {
    /// Writes a status: the whole of it, on the version that the engine knows, of that very object.
    pub(crate) async fn write(&self, write: Write, metrics: &Metrics) -> Event {
        let uid = write.uid.clone();
        let (label, result) = match self.patch(&write).await {
            Ok(version) => ("ok", WriteResult::Ok(version)),
            Err(CallError::Timeout) => ("timeout", WriteResult::Retry),
            Err(CallError::Kube(kube::Error::Api(status))) if status.code == 409 => {
                ("conflict", self.read_again(&write).await)
            }
            Err(CallError::Kube(kube::Error::Api(status))) if status.code == 422 => {
                // A failed `test` means another object; anything else that it cannot be written like this.
                let result = self.read_again(&write).await;
                if !matches!(result, WriteResult::Gone) {
                    tracing::error!(request = %write.address, "the API server refuses the status: {}", status.message);
                }
                (
                    "refused",
                    if matches!(result, WriteResult::Gone) {
                        result
                    } else {
                        WriteResult::Retry
                    },
                )
            }
            Err(error) => {
                tracing::debug!(request = %write.address, "status write: {}", explain(&error));
                ("error", WriteResult::Retry)
            }
        };
        metrics
            .status_writes
            .get_or_create(&WriteLabel::new(write.urgency, label))
            .inc();
        Event::Written(uid, result)
    }

    async fn patch(&self, write: &Write) -> Result<String, CallError> {
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": &*write.uid.0},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": write.resource_version},
            {"op": "add", "path": "/status", "value": write.status},
        ]);
        let request = http::Request::patch(format!(
            "{}/status?fieldManager=isc-watcher",
            object_path(&write.address)
        ))
        .header(http::header::CONTENT_TYPE, "application/json-patch+json")
        .body(patch.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
        let answer: Versioned = self.call(&write.address.endpoint, request).await?;
        Ok(answer.metadata.resource_version)
    }

    async fn read_again(&self, write: &Write) -> WriteResult {
        match self.get(&write.address).await {
            Ok(found) if found.metadata.uid.as_deref() != Some(&*write.uid.0) => WriteResult::Gone,
            Ok(found) => observed(found, &write.address.endpoint),
            // Not there right now: the watch will tell when it is gone.
            Err(_) => WriteResult::Retry,
        }
    }

    /// Reads the parameters of a claimed request; none when it is another object by now, or not now.
    pub(crate) async fn read_params(&self, id: AttemptId, address: &Address) -> Event {
        let params = match self.get(address).await {
            Ok(found) if is(&found, &id.uid) => {
                let params = found.data.get("spec").and_then(|spec| spec.get("params"));
                Some(params_text(params).into())
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(request = %address, "cannot read the parameters: {}", explain(&error));
                None
            }
        };
        Event::ParamsRead(id, params)
    }

    async fn get(&self, address: &Address) -> Result<DynamicObject, CallError> {
        let request = http::Request::get(object_path(address))
            .body(vec![])
            .map_err(kube::Error::HttpError)?;
        self.call(&address.endpoint, request).await
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        endpoint: &Arc<str>,
        request: http::Request<Vec<u8>>,
    ) -> Result<T, CallError> {
        let client = self.endpoint(endpoint)?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, client.request(request)).await;
        Ok(answer.map_err(|_| CallError::Timeout)??)
    }
}

fn is(object: &DynamicObject, uid: &Uid) -> bool {
    object.metadata.uid.as_deref() == Some(&*uid.0)
}

fn observed(found: DynamicObject, endpoint: &Arc<str>) -> WriteResult {
    let observation: Option<Observation> = observe(found, endpoint);
    observation.map_or(WriteResult::Retry, |observation| {
        WriteResult::Conflict(Box::new(observation))
    })
}
