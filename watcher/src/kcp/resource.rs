//! The kinds whose objects are requests, as the API server knows them.

use std::sync::Arc;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_resource_and_group() {
        let request = Served::request();
        assert_eq!(&*request.id(), "requests.internal.services");
    }
}
