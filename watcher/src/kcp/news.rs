//! Kubernetes Events on what becomes of requests, in the workspaces that accept them.
//!
//! They are for people, and nobody waits for them: what cannot be told at once is dropped and counted.

use std::{collections::HashMap, sync::Arc, time::Duration};

use isc_core::{
    api::{GROUP, Phase},
    engine::Write,
    ids::{Address, Uid},
    reason::Reason,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use serde::de::IgnoredAny;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    client::{CallError, Clients},
    resource::Served,
};
use crate::metrics::Metrics;

/// Events on their way at once.
const PARALLEL: usize = 4;
/// A workspace that refuses events is asked again after that time.
const CLOSED: Duration = Duration::from_secs(600);
/// The longest message of an Event, bytes.
const NOTE_MAX: usize = 1024;
/// The longest part of a request's name in its Events' names, bytes.
const NAME_MAX: usize = 200;

/// Something that became of a request.
#[derive(Clone, Debug)]
pub(crate) struct News {
    uid: Uid,
    address: Address,
    phase: Phase,
    reason: String,
    message: String,
}

/// Tells the news.
pub(crate) struct Announcer {
    clients: Clients,
    instance: String,
    news: mpsc::Receiver<News>,
    metrics: Arc<Metrics>,
    calls: JoinSet<(Place, Result<IgnoredAny, CallError>)>,
    /// Workspaces that refuse, and until when they are left alone.
    closed: HashMap<Place, Instant>,
    explained: bool,
}

/// Endpoint and workspace.
type Place = (Arc<str>, Arc<str>);

// === impl News ===

impl News {
    /// What a write tells of its request; none when the API shows that already.
    #[must_use]
    pub(crate) fn of(write: &Write) -> Option<Self> {
        let (status, address) = (&write.status, &write.address);
        let condition = status.conditions.first().filter(|_| write.news)?;
        Some(Self {
            uid: write.uid.clone(),
            address: address.clone(),
            phase: status.phase?,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        })
    }

    fn place(&self) -> Place {
        (self.address.endpoint.clone(), self.address.cluster.clone())
    }

    /// Whether somebody should look.
    fn is_warning(&self) -> bool {
        let troubled = [Reason::NoWorkers, Reason::ServiceMissing, Reason::Backoff];
        matches!(self.phase, Phase::Failed | Phase::Rejected)
            || Reason::parse(&self.reason).is_some_and(|reason| troubled.contains(&reason))
    }

    fn into_event(self, of: &Served, instance: &str) -> Event {
        let kind = if self.is_warning() {
            "Warning"
        } else {
            "Normal"
        };
        let (name, namespace) = (&*self.address.name, &*self.address.namespace);
        let prefix = name[..name.floor_char_boundary(NAME_MAX)].trim_end_matches(['.', '-']);
        let note = &self.message[..self.message.floor_char_boundary(NOTE_MAX)];
        Event {
            metadata: ObjectMeta {
                generate_name: Some(format!("{prefix}-")),
                namespace: Some(namespace.into()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(Timestamp::now())),
            type_: Some(kind.into()),
            action: Some(format!("{:?}", self.phase)),
            note: Some(note.into()),
            regarding: Some(ObjectReference {
                api_version: Some(of.api_version()),
                kind: Some(of.kind.clone()),
                name: Some(name.into()),
                namespace: Some(namespace.into()),
                uid: Some(self.uid.to_string()),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(format!("{GROUP}/isc")),
            reporting_instance: Some(instance.into()),
            reason: Some(self.reason),
            ..Event::default()
        }
    }
}

// === impl Announcer ===

impl Announcer {
    /// Tells what comes through `news`, in the name of that instance.
    #[must_use]
    pub(crate) fn new(
        clients: Clients,
        instance: String,
        news: mpsc::Receiver<News>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            clients,
            instance,
            news,
            metrics,
            calls: JoinSet::new(),
            closed: HashMap::new(),
            explained: false,
        }
    }

    /// Runs until cancelled; then it tells what is left and ends.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut open = true;
        while open || !self.calls.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.news.is_closed() => self.news.close(),
                Some(told) = self.calls.join_next() => {
                    if let Ok((place, result)) = told {
                        self.told(place, result);
                    }
                }
                news = self.news.recv(), if open && self.calls.len() < PARALLEL => match news {
                    Some(news) => self.tell(news),
                    None => open = false,
                },
            }
        }
        stop.cancelled().await;
    }

    fn tell(&mut self, news: News) {
        let place = news.place();
        if self
            .closed
            .get(&place)
            .is_some_and(|until| Instant::now() < *until)
        {
            return self.metrics.event("not_accepted");
        }
        let (clients, instance) = (self.clients.clone(), self.instance.clone());
        self.calls.spawn(async move {
            let result = clients.announce(news, &instance, &place).await;
            (place, result)
        });
    }

    fn told(&mut self, place: Place, result: Result<IgnoredAny, CallError>) {
        let Err(error) = result else {
            self.closed.remove(&place);
            return self.metrics.event("ok");
        };
        let text = error.plain();
        if !matches!(error.code(), 403 | 404) {
            tracing::debug!(cluster = %place.1, "an Event was not written: {text}");
            return self.metrics.event("error");
        }
        self.metrics.event("not_accepted");
        let now = Instant::now();
        self.closed.retain(|_, until| now < *until);
        let cluster = place.1.clone();
        self.closed.insert(place, now + CLOSED);
        if self.explained {
            tracing::debug!(%cluster, "no Events here: {text}");
        } else {
            self.explained = true;
            tracing::info!(
                %cluster,
                "this workspace gets no Events, which is fine; to get them, accept the permission claim \
                 `events` in its APIBinding (deploy/kcp/apibinding.yaml), and let the watcher's user `create` \
                 apiexports/content in the provider workspace (deploy/kcp/rbac-controller.yaml). Said once, for \
                 all workspaces: {text}"
            );
        }
    }
}

// === impl Clients ===

impl Clients {
    async fn announce(
        &self,
        news: News,
        instance: &str,
        place: &Place,
    ) -> Result<IgnoredAny, CallError> {
        let kind = self.kind(&news.address.kind)?;
        self.create_event(news.into_event(kind.served(), instance), place)
            .await
    }

    async fn create_event(&self, event: Event, place: &Place) -> Result<IgnoredAny, CallError> {
        let (endpoint, cluster) = place;
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let prefix = self.reach().prefix(cluster);
        let path = format!("{prefix}/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let body = serde_json::to_vec(&event).map_err(kube::Error::SerdeError)?;
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body);
        self.call(endpoint, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(phase: Phase, reason: &str) -> News {
        News {
            uid: Uid::new("u"),
            address: Address {
                endpoint: "https://kcp".into(),
                kind: Served::request().id(),
                cluster: "1abc".into(),
                namespace: "default".into(),
                name: "n".repeat(253).into(),
            },
            phase,
            reason: reason.into(),
            message: "ü".repeat(600),
        }
    }

    #[test]
    fn an_event_names_its_request_and_keeps_the_limits_of_kubernetes() {
        let event = news(Phase::Succeeded, "Succeeded").into_event(&Served::request(), "isc");
        let regarding = event.regarding.unwrap();
        assert_eq!(regarding.kind.as_deref(), Some("Request"));
        assert_eq!(regarding.uid.as_deref(), Some("u"));
        assert_eq!(event.note.unwrap().len(), 1024);
        let name = event.metadata.generate_name.unwrap();
        assert!(name.len() <= 201 && name.ends_with("n-"), "{name}");
        assert_eq!(event.type_.as_deref(), Some("Normal"));
    }

    #[test]
    fn what_somebody_should_look_at_is_a_warning() {
        for (phase, reason, warning) in [
            (Phase::Failed, "JobFailed", true),
            (Phase::Rejected, "UnknownService", true),
            (Phase::Queued, "NoWorkers", true),
            (Phase::Queued, "Backoff", true),
            (Phase::Queued, "Queued", false),
            (Phase::Running, "Running", false),
            (Phase::Cancelled, "Cancelled", false),
        ] {
            assert_eq!(news(phase, reason).is_warning(), warning, "{reason}");
        }
    }
}
