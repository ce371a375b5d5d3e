//! Whether the API server can be reached, has what is needed, and lets this user do it.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};

use super::{
    Clients,
    client::{CALL_TIMEOUT, CallError, within},
    explain::explain,
    mark::Mark,
    mode, place,
    resource::Served,
    slice,
};
use crate::{
    check::Report,
    config::{Mode, WatcherConfig},
};

/// What a missing right costs, where the watcher can do without it.
const TTL: &str = "finished requests are not deleted when their time to live is over";
const EVENTS: &str = "no Events are made";
const MARK: &str =
    "each restart costs one lease period in which nothing is granted of what is found";

/// Where the rights are shipped.
const KCP_FILE: &str = "in the provider workspace (deploy/kcp/rbac-controller.yaml)";
const PLAIN_FILE: &str = "in the cluster (deploy/kubernetes/rbac.yaml)";

/// A right that the watcher uses.
struct Right {
    group: String,
    resource: String,
    subresource: Option<&'static str>,
    name: Option<String>,
    namespace: Option<String>,
    verb: &'static str,
    /// Without it, this happens; where there is nothing here, nothing works.
    costs: Option<&'static str>,
}

/// Tries what a watcher does, reading only.
pub(crate) async fn probe(clients: &Clients, config: &WatcherConfig, report: &mut Report) {
    let client = match clients.provider() {
        Ok(client) => client,
        Err(error) => return report.missing(format!("KUBECONFIG: {}", explain(&error))),
    };
    let told = config.kcp.mode.or_else(|| mode::told_by(&clients.url()));
    let found = match told {
        Some(mode) => Ok(mode),
        None => mode::ask(&client).await,
    };
    let mode = match found {
        Ok(mode) => mode,
        Err(error) => {
            return report.missing(format!("{}: {}", clients.url(), explain(&error)));
        }
    };
    report.fine(format!("{}: mode {mode:?}", clients.url()));
    clients.reaches(mode);
    match mode {
        Mode::Kcp => return in_kcp(clients, &client, config, report).await,
        Mode::Static => report.note(
            "rights cannot be asked for in a virtual workspace; lists are tried instead".into(),
        ),
        Mode::Kubernetes => rights(&client, plain(clients, config), PLAIN_FILE, report).await,
    }
    let url = mode::endpoint(&clients.url(), mode);
    let endpoints = match mode {
        Mode::Kubernetes => place::plain(url, &config.kcp.namespaces),
        _ => vec![url.into()],
    };
    for endpoint in endpoints {
        for kind in clients.kinds().iter() {
            list(clients, &endpoint, kind.served(), report).await;
        }
    }
}

async fn in_kcp(clients: &Clients, client: &Client, config: &WatcherConfig, report: &mut Report) {
    let mark = Mark::new(&config.instance);
    let mut wanted = leases(mark.name(), "default", Some(MARK));
    for kind in clients.kinds().iter() {
        let served = kind.served();
        let name = config.kcp.slice(served.slice.as_deref()).to_owned();
        wanted.extend(["list", "watch"].map(|verb| Right {
            group: "apis.kcp.io".into(),
            resource: "apiexportendpointslices".into(),
            subresource: None,
            name: Some(name.clone()),
            namespace: None,
            verb,
            costs: None,
        }));
        match find(client, &name).await {
            Err(error) => report.missing(format!("endpoint slice `{name}`: {}", explain(&error))),
            Ok(None) => report.missing(slice::absent(&name)),
            Ok(Some((export, urls))) => {
                wanted.extend(content(&export));
                if urls.is_empty() {
                    report.note(format!("no workspace has bound the export `{export}` yet"));
                }
                for url in urls {
                    list(clients, &url, served, report).await;
                }
            }
        }
    }
    rights(client, wanted, KCP_FILE, report).await;
}

/// The export of a slice, and its endpoints.
async fn find(client: &Client, name: &str) -> Result<Option<(String, Vec<String>)>, CallError> {
    let only = ListParams::default().fields(&slice::selector(name));
    let slices = slice::slices(client.clone());
    let found = within(CALL_TIMEOUT, slices.list(&only)).await?.items.pop();
    Ok(found.map(|found| {
        let export = found.data.pointer("/spec/export/name");
        let export = export.and_then(serde_json::Value::as_str).unwrap_or(name);
        let urls = slice::endpoints(&found);
        (
            export.to_owned(),
            urls.iter().map(ToString::to_string).collect(),
        )
    }))
}

/// Lists one object of a kind, as the watcher lists all.
async fn list(clients: &Clients, endpoint: &str, served: &Served, report: &mut Report) {
    let what = format!("{} at {}", served.id(), place::label(endpoint));
    let prefix = clients.reach().prefix("*");
    let (_, namespace) = place::parts(endpoint);
    let within = namespace.map_or_else(String::new, |name| format!("namespaces/{name}/"));
    let path = format!(
        "{prefix}/apis/{}/{}/{within}{}?limit=1",
        served.group, served.version, served.plural
    );
    let request = http::Request::get(path).body(vec![]);
    match clients.call::<serde_json::Value>(endpoint, request).await {
        Ok(_) => report.fine(format!("{what}: listed")),
        Err(error) if error.code() == 404 => report.missing(format!(
            "{what}: it is not served there; add its schema to the export, or the CRD to the cluster"
        )),
        Err(error) => report.missing(format!("{what}: {}", explain(&error))),
    }
}

/// On the content of an export: the verb counts, whatever it is of.
fn content(export: &str) -> impl Iterator<Item = Right> + use<> {
    let verbs = [
        ("get", None),
        ("list", None),
        ("watch", None),
        ("patch", None),
        ("delete", Some(TTL)),
        ("create", Some(EVENTS)),
    ];
    let export = export.to_owned();
    verbs.into_iter().map(move |(verb, costs)| Right {
        group: "apis.kcp.io".into(),
        resource: "apiexports".into(),
        subresource: Some("content"),
        name: Some(export.clone()),
        namespace: None,
        verb,
        costs,
    })
}

fn leases(name: &str, namespace: &str, costs: Option<&'static str>) -> Vec<Right> {
    let verbs = [
        ("get", Some(name)),
        ("update", Some(name)),
        ("create", None),
    ];
    let right = |(verb, name): (&'static str, Option<&str>)| Right {
        group: "coordination.k8s.io".into(),
        resource: "leases".into(),
        subresource: None,
        name: name.map(str::to_owned),
        namespace: Some(namespace.to_owned()),
        verb,
        costs,
    };
    verbs.into_iter().map(right).collect()
}

/// The rights that the election needs in the private cluster.
pub(crate) async fn probe_election(
    client: &Client,
    namespace: &str,
    name: &str,
    report: &mut Report,
) {
    let file = "in the private cluster (deploy/kustomize/components/election/rbac.yaml)";
    rights(client, leases(name, namespace, None), file, report).await;
}

/// In an API server that has the CRD.
fn plain(clients: &Clients, config: &WatcherConfig) -> Vec<Right> {
    let mark = Mark::new(&config.instance);
    let mut wanted = leases(mark.name(), &clients.namespace(), Some(MARK));
    let mut namespaces: Vec<Option<String>> =
        config.kcp.namespaces.iter().cloned().map(Some).collect();
    if namespaces.is_empty() {
        namespaces.push(None);
    }
    for kind in clients.kinds().iter() {
        let served = kind.served();
        let verbs = [
            ("get", None, None),
            ("list", None, None),
            ("watch", None, None),
            ("patch", Some("status"), None),
            ("delete", None, Some(TTL)),
        ];
        for namespace in &namespaces {
            wanted.extend(verbs.map(|(verb, subresource, costs)| Right {
                group: served.group.clone(),
                resource: served.plural.clone(),
                subresource,
                name: None,
                namespace: namespace.clone(),
                verb,
                costs,
            }));
        }
    }
    wanted.extend(namespaces.into_iter().map(|namespace| Right {
        group: "events.k8s.io".into(),
        resource: "events".into(),
        subresource: None,
        name: None,
        namespace,
        verb: "create",
        costs: Some(EVENTS),
    }));
    wanted
}

/// Asks the API server for each right.
async fn rights(client: &Client, wanted: Vec<Right>, file: &str, report: &mut Report) {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut had = 0;
    for right in wanted {
        let params = PostParams::default();
        let asked = right.review();
        match within(CALL_TIMEOUT, reviews.create(&params, &asked)).await {
            Err(error) => {
                return report.missing(format!(
                    "which rights there are cannot be found out: {}",
                    explain(&error)
                ));
            }
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => had += 1,
            Ok(_) => match right.costs {
                None => report.missing(format!("let the watcher's user {right} {file}")),
                Some(costs) => report.note(format!("without the right to {right} {file}: {costs}")),
            },
        }
    }
    report.fine(format!("{had} rights are there"));
}

// === impl Right ===

impl Right {
    fn review(&self) -> SelfSubjectAccessReview {
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(self.group.clone()),
                    resource: Some(self.resource.clone()),
                    subresource: self.subresource.map(str::to_owned),
                    name: self.name.clone(),
                    namespace: self.namespace.clone(),
                    verb: Some(self.verb.into()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.verb, self.resource)?;
        if let Some(subresource) = self.subresource {
            write!(f, "/{subresource}")?;
        }
        write!(f, ".{}", self.group)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in the namespace `{namespace}`"),
            None => Ok(()),
        }
    }
}
