//! The kinds whose objects are requests, as the API server knows them.

use std::{collections::BTreeMap, sync::Arc};

use isc_core::api;
use kube::core::ApiResource;

/// One kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// `internal.services`.
    pub(crate) group: String,
    /// `v1alpha1`.
    pub(crate) version: String,
    /// `requests`.
    pub(crate) plural: String,
    /// `Request`.
    pub(crate) kind: String,
    /// The endpoint slice of the export that has it; the configured default where there is none.
    pub(crate) slice: Option<String>,
}

/// All of them, by their ids. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Kinds(Arc<BTreeMap<Arc<str>, Served>>);

// === impl Served ===

impl Served {
    /// The kind that is always served.
    #[must_use]
    pub(crate) fn request() -> Self {
        Self {
            group: api::GROUP.into(),
            version: api::VERSION.into(),
            plural: api::PLURAL.into(),
            kind: api::KIND.into(),
            slice: None,
        }
    }

    /// Its name in addresses: `requests.internal.services`.
    #[must_use]
    pub(crate) fn id(&self) -> Arc<str> {
        format!("{}.{}", self.plural, self.group).into()
    }

    /// `internal.services/v1alpha1`.
    #[must_use]
    pub(crate) fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// For lists and watches.
    #[must_use]
    pub(super) fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version: self.api_version(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

// === impl Kinds ===

impl Kinds {
    /// These. Of two with one id the first counts.
    #[must_use]
    pub(crate) fn new(served: impl IntoIterator<Item = Served>) -> Self {
        let mut kinds = BTreeMap::new();
        for kind in served {
            kinds.entry(kind.id()).or_insert(kind);
        }
        Self(Arc::new(kinds))
    }

    /// The kind with that id.
    pub(super) fn get(&self, id: &str) -> Option<&Served> {
        self.0.get(id)
    }

    /// All, with their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Served)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_resource_and_group() {
        let request = Served::request();
        assert_eq!(&*request.id(), "requests.internal.services");
        let other = Served {
            version: "v2".into(),
            ..request.clone()
        };
        let kinds = Kinds::new([request.clone(), other]);
        assert_eq!(kinds.iter().count(), 1);
        assert_eq!(kinds.get("requests.internal.services"), Some(&request));
    }
}
