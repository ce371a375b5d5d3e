//! A configured kind: pointers and labels to what a Request says in fields of its own.

use std::borrow::Cow;

use isc_core::api::{OnConflict, Priority, RequestSpec};

use super::{
    Asked, NO_PARAMS, Parts,
    key::KeyParts,
    pointer::{Pointer, Spec},
    request::params_text,
    service::Service,
};

/// The most further attempts, as in a Request.
const RETRIES_MAX: u32 = 100;

/// Where everything is.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) service: Service,
    /// The whole spec without one.
    pub(super) params: Option<Pointer>,
    pub(super) requester: Option<Pointer>,
    pub(super) priority: Option<Pointer>,
    pub(super) cancel: Option<Pointer>,
    pub(super) timeout: Option<Pointer>,
    pub(super) queue_timeout: Option<Pointer>,
    pub(super) deadline: Option<Pointer>,
    pub(super) retries: Option<Pointer>,
    pub(super) ttl: Option<Pointer>,
    pub(super) key: KeyParts,
    pub(super) on_conflict: Option<OnConflict>,
}

// === impl Mapping ===

impl Mapping {
    pub(super) fn asked<'a>(&self, object: Parts<'a>) -> Asked<'a> {
        let (spec, params) = match self.params(object.spec) {
            Ok(params) => (self.spec(object), params),
            Err(why) => (Err(why), NO_PARAMS),
        };
        Asked {
            spec,
            params,
            ignored: None,
        }
    }

    /// The parameters.
    ///
    /// # Errors
    /// That they are no object, with the field.
    pub(super) fn params<'a>(&self, spec: Spec<'a>) -> Result<Cow<'a, str>, String> {
        let (found, field) = match &self.params {
            Some(pointer) => (pointer.find(spec), pointer.field()),
            None => (spec, "spec"),
        };
        let text = params_text(found);
        if text.starts_with('{') {
            Ok(text)
        } else {
            Err(format!("{field} must be an object"))
        }
    }

    pub(super) fn compares_params(&self) -> bool {
        self.on_conflict != Some(OnConflict::Replace)
    }

    fn spec(&self, object: Parts<'_>) -> Result<RequestSpec, String> {
        let clock = |pointer: &Option<Pointer>, min| match pointer {
            Some(pointer) => pointer.seconds(object.spec, min),
            None => Ok(None),
        };
        Ok(RequestSpec {
            service: self.service.of(object)?,
            params: None,
            requester: read(self.requester.as_ref(), |p| p.text(object.spec))?,
            priority: read(self.priority.as_ref(), |p| priority(p, object.spec))?,
            idempotency_key: self.key.of(object)?,
            on_conflict: self.on_conflict,
            queue_timeout_seconds: clock(&self.queue_timeout, 1)?,
            timeout_seconds: clock(&self.timeout, 1)?,
            deadline_seconds: clock(&self.deadline, 1)?,
            retries: read(self.retries.as_ref(), |p| {
                p.number(object.spec, RETRIES_MAX)
            })?,
            ttl_seconds_after_finished: clock(&self.ttl, 0)?,
            cancel: read(self.cancel.as_ref(), |p| p.flag(object.spec))?,
        })
    }
}

fn read<T>(
    pointer: Option<&Pointer>,
    read: impl FnOnce(&Pointer) -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    pointer.map_or(Ok(None), read)
}

fn priority(pointer: &Pointer, spec: Spec<'_>) -> Result<Option<Priority>, String> {
    let Some(word) = pointer.text(spec)? else {
        return Ok(None);
    };
    let priority = match word.as_str() {
        "Low" => Priority::Low,
        "Normal" => Priority::Normal,
        "High" => Priority::High,
        _ => return Err(format!("{} must be Low, Normal or High", pointer.field())),
    };
    Ok(Some(priority))
}
