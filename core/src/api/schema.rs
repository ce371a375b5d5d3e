//! What of the schema the types alone cannot say.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

pub(super) fn free_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// Every field but `cancel` is immutable; `cancel` cannot be taken back.
pub(super) fn spec_rules() -> Value {
    let optional = [
        "params",
        "requester",
        "priority",
        "idempotencyKey",
        "onConflict",
        "queueTimeoutSeconds",
        "timeoutSeconds",
        "deadlineSeconds",
        "retries",
        "ttlSecondsAfterFinished",
    ];
    let mut rules = vec![rule("self.service == oldSelf.service", "service")];
    rules.extend(optional.iter().map(|field| {
        let same = format!(
            "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
        );
        rule(&same, field)
    }));
    rules.push(serde_json::json!({
        "rule": "!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",
        "message": "cancel cannot be taken back: create a new request",
    }));
    Value::Array(rules)
}

fn rule(rule: &str, field: &str) -> Value {
    serde_json::json!({"rule": rule, "message": format!("{field} is immutable: create a new request")})
}
