//! Objects to observations.
//!
//! Parameters may be large, and many requests are listed at once; so the parameters stay text, and what
//! nobody needs (managed fields, annotations) is dropped while an object is read.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use isc_core::{
    api::{PARAMS_MAX_BYTES, RequestSpec, RequestStatus},
    engine::{Digest, Observation, Params},
    ids::Uid,
};
use isc_runtime::services::Catalogue;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    core::{ApiResource, DynamicResourceScope},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use super::place::Place;
use crate::kinds::{Kind, Parts, Read};

/// The annotation with the logical cluster of an object.
const CLUSTER: &str = "kcp.io/cluster";
/// Larger parameters are not kept in memory but read again when claimed, bytes.
const INLINE_MAX: usize = 4096;

/// An object of a served kind as the API server sends it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seen {
    #[serde(deserialize_with = "needed_metadata")]
    metadata: Needed,
    #[serde(default)]
    spec: Option<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

/// The needed part of its metadata.
#[derive(Clone, Debug)]
struct Needed {
    meta: ObjectMeta,
    /// Some kinds are told by them: text until one asks.
    labels: Option<Box<RawValue>>,
}

// === impl Seen ===

impl Seen {
    /// The name, for logs.
    pub(super) fn name(&self) -> &str {
        self.metadata.meta.name.as_deref().unwrap_or_default()
    }

    /// The workspace that it says it lives in.
    pub(super) fn cluster(&self) -> Option<&str> {
        let annotations = self.metadata.meta.annotations.as_ref()?;
        annotations.get(CLUSTER).map(String::as_str)
    }

    /// Its identity.
    pub(super) fn uid(&self) -> Option<Uid> {
        let uid = self.metadata.meta.uid.as_deref();
        uid.map(|uid| Uid(uid.into()))
    }

    /// The parameters as JSON text, when they can be told; none are an empty object.
    pub(super) fn params(&self, kind: &Kind) -> Option<Arc<str>> {
        kind.params(self.parts()).map(Into::into)
    }

    /// The status, when there is a readable one.
    pub(super) fn status(&self, kind: &Kind) -> Option<RequestStatus> {
        kind.status(self.status.as_deref())
    }

    /// What the engine needs of it; none when it lacks what every served object has.
    pub(super) fn observe(
        self,
        place: &Place,
        kind: &Kind,
        services: &Catalogue,
    ) -> Option<Observation> {
        let Read {
            spec,
            params,
            compares_params,
            status,
            ignored,
        } = kind.read(self.parts());
        let ended = status.as_ref().is_some_and(|s| s.completion_time.is_some());
        let mut facts = Facts::of(spec.as_ref().ok(), &params, services, ended);
        facts.digest = facts.digest.filter(|_| compares_params);
        let uid = self.uid()?;
        let namespace = self.metadata.meta.namespace.as_deref()?;
        let address = place.address(self.cluster(), namespace, self.name())?;
        let metadata = self.metadata.meta;
        if let Some(ignored) = ignored.filter(|_| status.is_none()) {
            tracing::info!(request = %address, "{ignored}");
        }
        Some(Observation {
            uid,
            address,
            resource_version: metadata.resource_version?,
            generation: metadata.generation,
            created: metadata.creation_timestamp.map(|time| time.0),
            spec,
            params: facts.params,
            digest: facts.digest,
            flow_key: facts.flow_key,
            status,
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            spec: self.spec.as_deref(),
            status: self.status.as_deref(),
            labels: self.metadata.labels.as_deref(),
        }
    }
}

impl Resource for Seen {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata.meta
    }
}

/// What is computed from the parameters.
struct Facts {
    params: Params,
    digest: Option<Digest>,
    flow_key: Result<Option<Arc<str>>, String>,
}

// === impl Facts ===

impl Facts {
    /// The parameters are read only where something needs their content.
    fn of(spec: Option<&RequestSpec>, text: &str, services: &Catalogue, ended: bool) -> Self {
        let service = spec.and_then(|spec| services.get(&spec.service));
        let key = service.and_then(|s| s.key.as_ref()).filter(|_| !ended);
        let keyed = spec.is_some_and(|spec| spec.idempotency_key.is_some());
        let read = key.is_some() || keyed || text.len() > PARAMS_MAX_BYTES;
        let value: Option<Value> = read.then(|| serde_json::from_str(text).unwrap_or_default());
        let evaluated = key
            .zip(value.as_ref())
            .map(|(key, value)| key.evaluate(value));
        let flow_key = evaluated.unwrap_or(Ok(None));
        Self {
            params: size(text, value.as_ref()),
            digest: value.filter(|_| keyed).map(digest),
            flow_key: flow_key.map_err(|error| error.to_string()),
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

/// Managed fields and annotations can be as large as the parameters.
fn needed_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Needed, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Told {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        creation_timestamp: Option<Timestamp>,
        annotations: Annotations,
        labels: Option<Box<RawValue>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Annotations {
        #[serde(rename = "kcp.io/cluster")]
        cluster: Option<String>,
    }
    let told = Told::deserialize(deserializer)?;
    let cluster = told.annotations.cluster;
    Ok(Needed {
        meta: ObjectMeta {
            name: told.name,
            namespace: told.namespace,
            uid: told.uid,
            resource_version: told.resource_version,
            generation: told.generation,
            creation_timestamp: told
                .creation_timestamp
                .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
            annotations: cluster.map(|name| BTreeMap::from([(CLUSTER.to_owned(), name)])),
            ..ObjectMeta::default()
        },
        labels: told.labels,
    })
}

#[cfg(test)]
mod tests;
