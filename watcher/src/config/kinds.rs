//! The `kinds` section: what else is served besides `Request`, and how its objects are read.
//!
//! Only the shape is here. What the values must be is checked where they are put to use, in `crate::kinds`.

use std::{collections::BTreeMap, fmt};

use isc_core::api::OnConflict;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// One kind. Pointers are JSON pointers into the object, below `/spec`; where one is not set, or the object
/// has nothing there, it is as if a Request said nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KindConfig {
    /// What the kind is known for: the other keys have its defaults then.
    pub profile: Option<Profile>,
    /// The API group. Required without a profile, as are `version`, `kind` and `plural`.
    pub group: Option<String>,
    /// The API version.
    pub version: Option<String>,
    /// The kind, as in `MyOrgSigningRequest`.
    pub kind: Option<String>,
    /// The plural, as in URLs.
    pub plural: Option<String>,
    /// The `APIExportEndpointSlice` of its export. Default: `kcp.endpointSlice`.
    pub endpoint_slice: Option<String>,
    /// Which service its objects ask for. Required without a profile.
    pub service: Option<ServiceConfig>,
    /// Where the parameters are, an object. Default: the whole spec.
    pub params: Option<String>,
    /// Where the caller's name is.
    pub requester: Option<String>,
    /// Where `Low`, `Normal` or `High` is.
    pub priority: Option<String>,
    /// Where the flag is that cancels.
    pub cancel: Option<String>,
    /// Where the longest time of one attempt is: seconds, or a duration such as `1h30m`.
    pub timeout: Option<String>,
    /// Where the longest time from accepted to started is, likewise.
    pub queue_timeout: Option<String>,
    /// Where the longest time for everything in all is, likewise.
    pub deadline: Option<String>,
    /// Where the number of further attempts is.
    pub retries: Option<String>,
    /// Where the time is after which an ended object is deleted: seconds, or a duration.
    pub ttl_after_finished: Option<String>,
    /// What tells objects that ask for the same work. Default: nothing does.
    pub idempotency_key: Option<KeyConfig>,
    /// What becomes of an object when an earlier one has the same key. Default `Attach`.
    #[serde(deserialize_with = "on_conflict")]
    pub on_conflict: Option<OnConflict>,
}

/// Kinds that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Profile {
    /// A type with the same spec and status as `Request` under another name; `request`.
    Request,
    /// Konflux: `InternalRequest` of `appstudio.redhat.com/v1alpha1`; `konflux-internal-request`.
    KonfluxInternalRequest,
}

/// How the service is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceConfig {
    /// Always this one.
    Fixed(String),
    /// By something of the object.
    Picked(PickConfig),
}

/// What of an object names its service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PickConfig {
    /// A pointer to it.
    pub field: Option<String>,
    /// Or the label that has it.
    pub label: Option<String>,
    /// From what is found there to services; what is not listed is refused. Default: it is the service's name.
    pub map: Option<BTreeMap<String, String>>,
}

/// The parts of an idempotency key, in this order. An object that lacks one of them has no key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KeyConfig {
    /// Pointers to strings, numbers or flags.
    pub fields: Vec<String>,
    /// Labels.
    pub labels: Vec<String>,
}

impl TryFrom<String> for Profile {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "request" => Ok(Self::Request),
            "konflux-internal-request" => Ok(Self::KonfluxInternalRequest),
            _ => Err(format!(
                "there is no profile {name:?}: use `request` or `konflux-internal-request`"
            )),
        }
    }
}

fn on_conflict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OnConflict>, D::Error> {
    let word: Option<String> = Option::deserialize(deserializer)?;
    match word.as_deref() {
        None => Ok(None),
        Some("Attach") => Ok(Some(OnConflict::Attach)),
        Some("Replace") => Ok(Some(OnConflict::Replace)),
        Some("Reject") => Ok(Some(OnConflict::Reject)),
        Some(other) => {
            let why = format!("must be Attach, Replace or Reject, and is {other:?}");
            Err(de::Error::custom(why))
        }
    }
}

impl<'de> Deserialize<'de> for ServiceConfig {
    /// By hand, so that a mistake inside of the longer form is named.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ServiceConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a service's name, or {field: /spec/.., map: {..}}, or {label: .., map: {..}}",
                )
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(ServiceConfig::Fixed(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                PickConfig::deserialize(MapAccessDeserializer::new(map)).map(ServiceConfig::Picked)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
