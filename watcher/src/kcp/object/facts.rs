//! What is computed from a request's parameters when it is seen.

use std::sync::Arc;

use isc_core::{
    admit::Rejection,
    api::{PARAMS_MAX_BYTES, RequestSpec, RequestStatus},
    engine::{Digest, Params},
    reason::Reason,
    status::is_undecided,
};
use isc_runtime::services::Catalogue;
use serde_json::Value;

/// Larger parameters are not kept in memory but read again when claimed, bytes.
const INLINE_MAX: usize = 4096;

/// What is computed from the parameters.
pub(super) struct Facts {
    pub(super) params: Params,
    pub(super) digest: Option<Digest>,
    pub(super) flow_key: Result<Option<Arc<str>>, String>,
    pub(super) refusal: Option<Rejection>,
}

/// How far a request is, by its status.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has accepted or rejected it.
    New,
    Live,
    Ended,
}

// === impl Stage ===

impl Stage {
    pub(super) fn of(status: Option<&RequestStatus>) -> Self {
        match status {
            Some(status) if status.completion_time.is_some() => Self::Ended,
            Some(status) if is_undecided(status) => Self::New,
            Some(status) if status.phase.is_some() => Self::Live,
            _ => Self::New,
        }
    }
}

// === impl Facts ===

impl Facts {
    /// The parameters are read only where something needs their content.
    pub(super) fn of(
        spec: Option<&RequestSpec>,
        text: &str,
        services: &Catalogue,
        stage: Stage,
    ) -> Self {
        let service = spec.and_then(|spec| services.get(&spec.service));
        let key = service.and_then(|s| s.key.as_ref());
        let key = key.filter(|_| stage != Stage::Ended);
        // What was accepted stays so, and what is too large is rejected for that.
        let taker = service.filter(|service| service.params.is_some());
        let taker = taker.filter(|_| stage == Stage::New && text.len() <= PARAMS_MAX_BYTES);
        let keyed = spec.is_some_and(|spec| spec.idempotency_key.is_some());
        let read = key.is_some() || keyed || taker.is_some() || text.len() > PARAMS_MAX_BYTES;
        let value: Option<Value> = read.then(|| serde_json::from_str(text).unwrap_or_default());
        let evaluated = key
            .zip(value.as_ref())
            .map(|(key, value)| key.evaluate(value));
        let flow_key = evaluated.unwrap_or(Ok(None));
        let checked = taker.zip(value.as_ref());
        let checked = checked.map_or(Ok(()), |(service, value)| service.check_params(value));
        let refusal = checked.err().map(|message| Rejection {
            reason: Reason::InvalidParams,
            message,
        });
        Self {
            params: size(text, value.as_ref()),
            digest: value.filter(|_| keyed).map(digest),
            flow_key: flow_key.map_err(|error| error.to_string()),
            refusal,
        }
    }
}

fn size(text: &str, value: Option<&Value>) -> Params {
    match text.len() {
        0..=INLINE_MAX => Params::Inline(text.into()),
        // The server escapes what needs no escaping; the limit is meant for plain JSON.
        PARAMS_MAX_BYTES.. => Params::Large(value.map_or(text.len(), |v| v.to_string().len())),
        bytes => Params::Large(bytes),
    }
}

/// The first half of a SHA-256 over the text with all fields in order.
fn digest(mut params: Value) -> Digest {
    params.sort_all_objects();
    let whole = ring::digest::digest(&ring::digest::SHA256, params.to_string().as_bytes());
    let mut half = Digest::default();
    half.copy_from_slice(&whole.as_ref()[..size_of::<Digest>()]);
    half
}
