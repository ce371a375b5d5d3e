//! A configured kind's status: that of a Request, and the condition that outlives pruning.

use isc_core::{
    api::{Condition, RequestStatus},
    engine::Write,
};
use serde_json::{Value, json};

use super::state::{self, STATE, Told};

/// The longest message of a condition, bytes: the limit of Kubernetes.
const MESSAGE_MAX: usize = 32_768;

/// A Request's own.
pub(super) fn plain(status: &RequestStatus) -> Value {
    serde_json::to_value(status).expect("a status is JSON")
}

/// That of a kind with the same contract.
pub(super) fn mapped(write: &Write) -> Value {
    let mut value = plain(&write.status);
    let conditions = write.status.conditions.iter();
    let kept = state::condition(write);
    value["conditions"] = conditions.chain([&kept]).map(condition).collect();
    value
}

/// A condition as Kubernetes declares it: there the message is required.
pub(super) fn condition(condition: &Condition) -> Value {
    let mut value = serde_json::to_value(condition).expect("a condition is JSON");
    let message = &condition.message;
    value["message"] = json!(message[..message.floor_char_boundary(MESSAGE_MAX)]);
    value
}

/// What such a status tells; without the condition, what a Request's would.
pub(super) fn told(mut value: Value) -> Option<Told> {
    if let Some(mut told) = state::told(&value) {
        let result = value["result"].as_object_mut().map(std::mem::take);
        let artifacts = serde_json::from_value(value["artifacts"].take());
        told.status.result = result;
        told.status.artifacts = artifacts.unwrap_or_default();
        return Some(told);
    }
    if let Some(conditions) = value["conditions"].as_array_mut() {
        conditions.retain(|condition| condition["type"] != STATE);
    }
    Some(Told {
        status: serde_json::from_value(value).ok()?,
        decided: None,
    })
}
