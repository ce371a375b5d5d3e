//! Where one watch looks, and how what it sees there is addressed.
//!
//! An endpoint is named by its URL, and where only one namespace of it is watched, by the URL, `#` and the
//! namespace: `https://kcp/services/apiexport/1abc/internal.services`, `https://10.0.0.1#team-a`. Such a name
//! is what the engine knows, so each watch has lists of its own.

use std::sync::Arc;

use isc_core::ids::{Address, Source};

/// The cluster of every request where there are no workspaces.
pub(super) const LOCAL: &str = "local";

/// How requests are reached below an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Through `/clusters/<workspace>`: kcp.
    Workspaces,
    /// At once: there is one cluster, [`LOCAL`].
    Plain,
}

/// A source, and what its objects do not say themselves.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) source: Source,
    pub(super) reach: Reach,
}

// === impl Reach ===

impl Reach {
    /// What comes before the path of an API in a cluster.
    pub(super) fn prefix(self, cluster: &str) -> String {
        match self {
            Self::Workspaces => format!("/clusters/{cluster}"),
            Self::Plain => String::new(),
        }
    }
}

// === impl Place ===

impl Place {
    /// The cluster of an object that was seen here; none when it lacks that.
    pub(super) fn cluster(&self, annotated: Option<&str>) -> Option<Arc<str>> {
        match self.reach {
            Reach::Workspaces => annotated.map(Arc::from),
            Reach::Plain => Some(LOCAL.into()),
        }
    }

    /// The address of an object here.
    pub(super) fn address(
        &self,
        cluster: Option<&str>,
        namespace: &str,
        name: &str,
    ) -> Option<Address> {
        Some(Address {
            endpoint: self.source.endpoint.clone(),
            kind: self.source.kind.clone(),
            cluster: self.cluster(cluster)?,
            namespace: namespace.into(),
            name: name.into(),
        })
    }
}

/// The name of an endpoint of which only that namespace is watched.
pub(super) fn in_namespace(url: &str, namespace: &str) -> Arc<str> {
    format!("{url}#{namespace}").into()
}

/// The endpoints of a plain API server: one for each of these namespaces, or one for all that there are.
pub(super) fn plain(url: String, namespaces: &[String]) -> Vec<Arc<str>> {
    if namespaces.is_empty() {
        return vec![url.into()];
    }
    let each = namespaces.iter().map(|name| in_namespace(&url, name));
    each.collect()
}

/// The URL of an endpoint, and the namespace when only that is watched.
pub(super) fn parts(endpoint: &str) -> (&str, Option<&str>) {
    match endpoint.split_once('#') {
        Some((url, namespace)) => (url, Some(namespace)),
        None => (endpoint, None),
    }
}

/// What metrics call an endpoint: its host, and the export or the namespace.
pub(crate) fn label(endpoint: &str) -> String {
    let (url, namespace) = parts(endpoint);
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    // Where somebody put a password into the URL.
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let last = path.rsplit('/').next().filter(|last| !last.is_empty());
    match namespace.or(last) {
        Some(more) => format!("{host}/{more}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(reach: Reach) -> Place {
        let source = Source {
            endpoint: "https://kcp".into(),
            kind: "requests.internal.services".into(),
        };
        Place { source, reach }
    }

    #[test]
    fn only_kcp_has_workspaces() {
        let kcp = place(Reach::Workspaces);
        let address = kcp.address(Some("1abc"), "default", "a").unwrap();
        assert_eq!(address.to_string(), "1abc/default/a");
        assert!(kcp.address(None, "default", "a").is_none());
        assert_eq!(kcp.reach.prefix("1abc"), "/clusters/1abc");
        let plain = place(Reach::Plain);
        let address = plain.address(Some("1abc"), "default", "a").unwrap();
        assert_eq!(address.to_string(), "local/default/a");
        assert_eq!(plain.reach.prefix("local"), "");
    }

    #[test]
    fn an_endpoint_of_one_namespace_has_the_url_of_the_whole() {
        let endpoint = in_namespace("https://10.0.0.1:6443/base", "team-a");
        assert_eq!(
            parts(&endpoint),
            ("https://10.0.0.1:6443/base", Some("team-a"))
        );
        assert_eq!(parts("https://kcp"), ("https://kcp", None));
    }

    #[test]
    fn a_label_tells_endpoints_apart_and_no_secret() {
        for (endpoint, told) in [
            (
                "https://kcp:6443/services/apiexport/1abc/internal.services",
                "kcp:6443/internal.services",
            ),
            ("https://10.0.0.1", "10.0.0.1"),
            ("https://10.0.0.1#team-a", "10.0.0.1/team-a"),
            ("https://me:secret@kcp/", "kcp"),
        ] {
            assert_eq!(label(endpoint), told);
        }
    }
}
