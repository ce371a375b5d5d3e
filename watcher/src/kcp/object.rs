//! Objects to observations.
//!
//! Parameters may be large, and many requests are listed at once; so the parameters stay text, and what
//! nobody needs (managed fields, most annotations) is dropped while an object is read.

mod depth;
mod facts;
mod traced;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use isc_core::{
    api::{RequestSpec, RequestStatus},
    engine::Observation,
    ids::{Address, Uid},
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

use self::{
    facts::{Facts, Stage},
    traced::{ANNOTATIONS, Annotations, Traced},
};
use super::{paths::Paths, place::Place};
use crate::{
    admission::{Admission, Asked, Verdict},
    kinds::{Kind, Parts, Read},
    select::{Candidate, Labels, Select},
};

/// The annotation with the logical cluster of an object.
const CLUSTER: &str = "kcp.io/cluster";

/// In what light an object is seen.
pub(super) struct Light<'a> {
    pub(super) kind: &'a Kind,
    pub(super) services: &'a Catalogue,
    pub(super) admission: &'a Admission,
    pub(super) paths: &'a Paths,
    pub(super) select: &'a Select,
}

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
    traced: Traced,
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

    /// Its labels.
    fn labels(&self) -> Labels {
        let labels = self.metadata.labels.as_deref();
        let read = labels.map(|text| serde_json::from_str(text.get()).unwrap_or_default());
        read.unwrap_or_default()
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
    pub(super) fn observe(self, place: &Place, light: &Light<'_>) -> Option<Observation> {
        let Read {
            spec,
            params,
            compares_params,
            status,
            ignored,
        } = light.kind.read(self.parts());
        let stage = Stage::of(status.as_ref());
        let spec = match stage {
            Stage::New => spec.and_then(|spec| depth::checked(&params).map(|()| spec)),
            Stage::Live | Stage::Ended => spec,
        };
        let mut facts = Facts::of(spec.as_ref().ok(), &params, light.services, stage);
        facts.digest = facts.digest.filter(|_| compares_params);
        let uid = self.uid()?;
        let namespace = self.metadata.meta.namespace.as_deref()?;
        let address = place.address(self.cluster(), namespace, self.name())?;
        if let Some(ignored) = ignored.filter(|_| status.is_none()) {
            tracing::info!(request = %address, "{ignored}");
        }
        let traced = self.metadata.traced.clone();
        if traced.wrong && status.is_none() {
            tracing::debug!(request = %address, "its annotation {ANNOTATIONS} is no traceparent, and is ignored");
        }
        let service = spec.as_ref().map_or("", |spec| spec.service.as_str());
        let service_known = light.services.get(service).is_some();
        let selected = light.selects(&self, &address, service);
        // Others' requests are others' to judge.
        let judged = selected || light.select.is_named(status.as_ref());
        let new = spec.as_ref().ok();
        let new = new.filter(|_| stage == Stage::New && judged);
        // The policy's word comes first: whoever may not ask learns nothing of the schema.
        let verdict = new.map(|spec| light.judge((&uid, &address), spec, &params));
        let Verdict { refusal, judged } = verdict.unwrap_or_default();
        let metadata = self.metadata.meta;
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
            refusal: refusal.or(facts.refusal),
            judged,
            selected,
            service_known,
            trace: traced.trace.filter(|_| stage != Stage::Ended),
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

// === impl Light ===

impl Light<'_> {
    /// Whether the instance is configured to serve it.
    fn selects(&self, seen: &Seen, address: &Address, service: &str) -> bool {
        let labels = if self.select.asks_for_labels() {
            seen.labels()
        } else {
            Labels::new()
        };
        let workspace = self.paths.path(&address.cluster);
        self.select.selects(&Candidate {
            labels: &labels,
            workspace: workspace.as_deref(),
            cluster: &address.cluster,
            service,
        })
    }

    /// What is decided on a request that was not admitted yet.
    fn judge(&self, (uid, address): (&Uid, &Address), spec: &RequestSpec, text: &str) -> Verdict {
        // Null when they cannot be read: then no rule that needs them lets it through.
        let params: Value = if self.admission.reads_params() {
            serde_json::from_str(text).unwrap_or_default()
        } else {
            Value::Null
        };
        let workspace = self.paths.path(&address.cluster);
        let asked = Asked {
            uid: &uid.0,
            kind: &address.kind,
            workspace: workspace.as_deref(),
            cluster: &address.cluster,
            namespace: &address.namespace,
            name: &address.name,
            spec,
            params: &params,
            groups: &[],
        };
        self.admission.judge(&asked, text)
    }
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
    let told = Told::deserialize(deserializer)?;
    let traced = told.annotations.traced();
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
        traced,
    })
}

#[cfg(test)]
mod tests;
