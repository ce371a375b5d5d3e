//! The kinds that are served: `Request`, and others by configuration.
//!
//! An object's JSON becomes what a Request would have said ([`Kind::read`]), and a request's status becomes
//! the kind's own ([`Kind::status_json`]) and back ([`Kind::status`]). All of it is pure: text in, values out.

mod check;
mod duration;
mod key;
mod konflux;
mod mapping;
mod pointer;
mod request;
mod service;
mod state;
mod status;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use isc_core::{
    api::{RequestSpec, RequestStatus},
    engine::Write,
};
use isc_runtime::config::ConfigError;
use serde_json::{Value, value::RawValue};

use crate::{config::KindConfig, kcp::Served};
use konflux::Konflux;
use mapping::Mapping;
use state::Told;

/// All kinds, by resource and group. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Kinds(Arc<BTreeMap<Arc<str>, Arc<Kind>>>);

/// One kind.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    id: Arc<str>,
    served: Served,
    shape: Shape,
}

/// How its objects are read and their statuses written.
#[derive(Clone, Debug)]
enum Shape {
    Request,
    Mapped(Box<Mapping>),
    Konflux(Konflux),
}

/// The parts of an object that a kind reads, as the API server sends them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts<'a> {
    /// `spec`.
    pub(crate) spec: Option<&'a RawValue>,
    /// `status`.
    pub(crate) status: Option<&'a RawValue>,
    /// `metadata.labels`.
    pub(crate) labels: Option<&'a RawValue>,
}

/// What an object says.
#[derive(Debug)]
pub(crate) struct Read<'a> {
    /// What a Request would have asked for, without its parameters, or why that cannot be told.
    pub(crate) spec: Result<RequestSpec, String>,
    /// The parameters: JSON text; none are an empty object.
    pub(crate) params: Cow<'a, str>,
    /// Whether requests with one key must have the same parameters.
    pub(crate) compares_params: bool,
    /// The status, when there is a readable one.
    pub(crate) status: Option<RequestStatus>,
    /// What the caller wrote that is not heeded, for the log.
    pub(crate) ignored: Option<&'static str>,
}

/// What an object's own part asks for.
struct Asked<'a> {
    spec: Result<RequestSpec, String>,
    params: Cow<'a, str>,
    ignored: Option<&'static str>,
}

/// Parameters of a request that has none.
const NO_PARAMS: Cow<'static, str> = Cow::Borrowed("{}");

// === impl Kinds ===

impl Kinds {
    /// `Request`, and these.
    ///
    /// # Errors
    /// The first mistake, with its key and the remedy.
    pub(crate) fn new(configured: &[KindConfig]) -> Result<Self, ConfigError> {
        let mut kinds = BTreeMap::new();
        let mut add = |kind: Kind| kinds.insert(kind.id.clone(), Arc::new(kind)).is_some();
        add(Kind::request());
        for (index, config) in configured.iter().enumerate() {
            let broken = |(key, why): (&str, String)| {
                let dot = if key.is_empty() { "" } else { "." };
                ConfigError::Rule(format!("`kinds[{index}]{dot}{key}` {why}"))
            };
            let kind = check::kind(config).map_err(broken)?;
            let id = kind.id.clone();
            if add(kind) {
                let why = format!("is a second entry for {id}: remove one of them");
                return Err(broken(("", why)));
            }
        }
        Ok(Self(Arc::new(kinds)))
    }

    /// Kinds that look like `Request`.
    #[cfg(test)]
    pub(crate) fn like_request(served: impl IntoIterator<Item = Served>) -> Self {
        let kinds = served.into_iter().map(|served| {
            let kind = Kind::new(served, Shape::Request);
            (kind.id.clone(), Arc::new(kind))
        });
        Self(Arc::new(kinds.collect()))
    }

    /// The kind of that resource and group, as in an address.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Kind>> {
        self.0.get(id)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values()
    }
}

// === impl Kind ===

impl Kind {
    fn new(served: Served, shape: Shape) -> Self {
        Self {
            id: served.id(),
            served,
            shape,
        }
    }

    /// The built-in one.
    pub(crate) fn request() -> Self {
        Self::new(Served::request(), Shape::Request)
    }

    /// Resource and group, as in an address: `requests.internal.services`.
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The resource, as the API server knows it.
    pub(crate) fn served(&self) -> &Served {
        &self.served
    }

    /// What an object says.
    ///
    /// What was decided when it was accepted (its service, its key) holds, whatever its labels, its fields or
    /// the configuration say by now.
    pub(crate) fn read<'a>(&self, object: Parts<'a>) -> Read<'a> {
        let asked = match &self.shape {
            Shape::Request => request::asked(object.spec),
            Shape::Mapped(mapping) => mapping.asked(object),
            Shape::Konflux(konflux) => konflux.asked(object),
        };
        let told = self.told(object.status);
        let spec = match told.as_ref().and_then(|told| told.decided.as_ref()) {
            Some(decided) => Ok(decided.over(asked.spec)),
            None => asked.spec,
        };
        Read {
            spec,
            params: asked.params,
            compares_params: self.compares_params(),
            status: told.map(|told| told.status),
            ignored: asked.ignored,
        }
    }

    /// The parameters alone; none when they cannot be told.
    pub(crate) fn params<'a>(&self, object: Parts<'a>) -> Option<Cow<'a, str>> {
        match &self.shape {
            Shape::Request => Some(request::asked(object.spec).params),
            Shape::Mapped(mapping) => mapping.params(object.spec).ok(),
            Shape::Konflux(_) => konflux::params(object.spec).ok(),
        }
    }

    /// What a status says, when it is a readable one.
    pub(crate) fn status(&self, status: Option<&RawValue>) -> Option<RequestStatus> {
        self.told(status).map(|told| told.status)
    }

    /// The kind's own status for what is to be written.
    pub(crate) fn status_json(&self, write: &Write) -> Value {
        match &self.shape {
            Shape::Request => status::plain(&write.status),
            Shape::Mapped(_) => status::mapped(write),
            Shape::Konflux(_) => konflux::status(write),
        }
    }

    fn told(&self, status: Option<&RawValue>) -> Option<Told> {
        let text = status?.get();
        if let Shape::Request = self.shape {
            return Some(Told {
                status: serde_json::from_str(text).ok()?,
                decided: None,
            });
        }
        let value: Value = serde_json::from_str(text).ok()?;
        match self.shape {
            Shape::Konflux(_) => konflux::told(&value),
            _ => status::told(value),
        }
    }

    /// Where a newer one replaces an earlier one anyway, it may ask with other parameters.
    fn compares_params(&self) -> bool {
        match &self.shape {
            Shape::Request => true,
            Shape::Mapped(mapping) => mapping.compares_params(),
            Shape::Konflux(konflux) => konflux.compares_params(),
        }
    }
}
