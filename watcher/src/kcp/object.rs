//! Objects to observations.
//!
//! Parameters may be large, and many requests are listed at once; so the parameters stay text, and what
//! nobody needs (managed fields, annotations) is dropped while an object is read.

mod depth;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use isc_core::{
    api::{self, PARAMS_MAX_BYTES, RequestSpec, RequestStatus},
    engine::{Digest, Observation, Params},
    ids::{Address, Uid},
};
use isc_runtime::services::Catalogue;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::NamespaceResourceScope};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

/// The annotation with the logical cluster of an object.
const CLUSTER: &str = "kcp.io/cluster";
/// Larger parameters are not kept in memory but read again when claimed, bytes.
const INLINE_MAX: usize = 4096;

/// A request as the API server sends it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seen {
    #[serde(deserialize_with = "needed_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Option<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

// === impl Seen ===

impl Seen {
    /// The name, for logs.
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its identity.
    pub(super) fn uid(&self) -> Option<Uid> {
        let uid = self.metadata.uid.as_deref();
        uid.map(|uid| Uid(uid.into()))
    }

    /// The parameters as JSON text; none are an empty object.
    pub(super) fn params(&self) -> Arc<str> {
        let (_, params) = parts(self.spec.as_deref());
        text(params.as_deref()).into()
    }

    /// The status, when there is a readable one.
    pub(super) fn status(&self) -> Option<RequestStatus> {
        serde_json::from_str(self.status.as_deref()?.get()).ok()
    }

    /// What the engine needs of it; none when it lacks what every served object has.
    pub(super) fn observe(self, endpoint: &Arc<str>, services: &Catalogue) -> Option<Observation> {
        let (spec, params) = parts(self.spec.as_deref());
        let (status, uid) = (self.status(), self.uid()?);
        let metadata = self.metadata;
        let address = Address {
            endpoint: endpoint.clone(),
            cluster: metadata.annotations?.get(CLUSTER)?.as_str().into(),
            namespace: metadata.namespace?.into(),
            name: metadata.name?.into(),
        };
        let text = text(params.as_deref());
        let ended = status.as_ref().is_some_and(|s| s.completion_time.is_some());
        let facts = Facts::of(spec.as_ref().ok(), text, services, ended);
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
}

impl Resource for Seen {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        api::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        api::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        api::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        api::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
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

/// The spec without its parameters, and these.
fn parts(spec: Option<&RawValue>) -> (Result<RequestSpec, String>, Option<Box<RawValue>>) {
    let text = spec.map_or("{}", RawValue::get);
    let mut fields: BTreeMap<String, Box<RawValue>> = match serde_json::from_str(text) {
        Ok(fields) => fields,
        Err(error) => return (Err(error.to_string()), None),
    };
    let params = fields.remove("params");
    if params
        .as_deref()
        .is_some_and(|params| depth::is_too_deep(params.get()))
    {
        let why = format!(
            "spec.params are nested more than {} levels deep",
            depth::DEPTH_MAX
        );
        return (Err(why), None);
    }
    let rest = serde_json::to_string(&fields).and_then(|rest| serde_json::from_str(&rest));
    (rest.map_err(|error| error.to_string()), params)
}

fn text(params: Option<&RawValue>) -> &str {
    match params.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(text) => text,
    }
}

/// Managed fields and annotations can be as large as the parameters.
fn needed_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Needed {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        creation_timestamp: Option<Timestamp>,
        annotations: Annotations,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Annotations {
        #[serde(rename = "kcp.io/cluster")]
        cluster: Option<String>,
    }
    let needed = Needed::deserialize(deserializer)?;
    let cluster = needed.annotations.cluster;
    Ok(ObjectMeta {
        name: needed.name,
        namespace: needed.namespace,
        uid: needed.uid,
        resource_version: needed.resource_version,
        generation: needed.generation,
        creation_timestamp: needed
            .creation_timestamp
            .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
        annotations: cluster.map(|name| BTreeMap::from([(CLUSTER.to_owned(), name)])),
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests;
