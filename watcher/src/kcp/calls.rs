//! The engine's reads and deletions of single requests. No call outlives its time; each answer is an
//! event.

use std::sync::Arc;

use isc_core::{
    engine::{DeleteResult, Event},
    ids::{Address, AttemptId, Uid},
};
use serde::de::IgnoredAny;
use serde_json::json;

use super::{
    client::{CallError, Clients},
    explain::explain,
    object::Seen,
};
use crate::kinds::Kind;

// === impl Clients ===

impl Clients {
    /// Reads the parameters of a claimed request; none when it is another object by now, or not now.
    pub(crate) async fn read_params(&self, id: AttemptId, address: &Address) -> Event {
        let params = self.read(&id.uid, address, "parameters").await;
        let params = params.and_then(|(kind, seen)| seen.params(&kind));
        Event::ParamsRead(id, params)
    }

    /// Reads the status of a request; none when it is another object by now, or not now.
    pub(crate) async fn read_status(&self, uid: Uid, address: &Address) -> Event {
        let seen = self.read(&uid, address, "status").await;
        let status = seen.and_then(|(kind, seen)| seen.status(&kind));
        Event::StatusRead(uid, status.map(Box::new))
    }

    /// Deletes a request, if it still is that one.
    pub(crate) async fn delete(&self, uid: Uid, address: &Address) -> Event {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": &*uid.0},
        });
        let result = match self.delete_with(options.to_string(), address).await {
            Ok(IgnoredAny) => DeleteResult::Gone,
            Err(error) if is_gone(&error, address) => DeleteResult::Gone,
            Err(error) => {
                tracing::warn!(request = %address, "cannot delete a finished request: {}", explain(&error));
                DeleteResult::Retry
            }
        };
        Event::Deleted(uid, result)
    }

    async fn delete_with(
        &self,
        options: String,
        address: &Address,
    ) -> Result<IgnoredAny, CallError> {
        let request = http::Request::delete(self.object_path(address)?)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(options.into_bytes());
        self.call(&address.endpoint, request).await
    }

    /// Reads a request.
    pub(super) async fn get(&self, address: &Address) -> Result<(Arc<Kind>, Seen), CallError> {
        let kind = self.kind(&address.kind)?;
        let request = http::Request::get(self.object_path(address)?).body(vec![]);
        let seen = self.call(&address.endpoint, request).await?;
        Ok((kind.clone(), seen))
    }

    async fn read(&self, uid: &Uid, address: &Address, what: &str) -> Option<(Arc<Kind>, Seen)> {
        match self.get(address).await {
            Ok(found) => Some(found).filter(|(_, seen)| seen.uid().as_ref() == Some(uid)),
            Err(error) => {
                tracing::warn!(request = %address, "cannot read the {what}: {}", explain(&error));
                None
            }
        }
    }
}

/// There is no such object, or it has another UID. A server that comes up answers 404 as well, in plain
/// text or because it does not know the resource yet: only an answer that names the object counts.
fn is_gone(error: &CallError, address: &Address) -> bool {
    let Some(status) = error.status() else {
        return false;
    };
    match status.code {
        404 => status
            .details
            .as_ref()
            .is_some_and(|details| details.name == *address.name),
        409 => status.message.contains("UID"),
        _ => false,
    }
}
