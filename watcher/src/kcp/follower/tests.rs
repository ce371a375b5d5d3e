//! Which sources there are, by what the slices said.

use isc_runtime::{admin::Readiness, services::Catalogue};
use prometheus_client::registry::Registry;
use tokio::sync::watch as channel;

use super::*;
use crate::{access::Access, admission::Admission, election::Lead, kcp::Served, kinds::Kinds};

/// A follower of the slices `internal.services`, which two kinds share, and `signing`.
fn follower() -> (Follower, mpsc::Receiver<Input>) {
    let kind = |plural: &str, slice: Option<&str>| Served {
        plural: plural.into(),
        slice: slice.map(Into::into),
        ..Served::request()
    };
    let kinds = Kinds::like_request([
        kind("requests", None),
        kind("others", Some("internal.services")),
        kind("signings", Some("signing")),
    ]);
    let services = channel::Sender::new(Arc::new(Catalogue::default()));
    // Nobody listens there.
    let base = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let metrics = Arc::new(Metrics::new(&mut Registry::default()));
    let access = Access::fixed(base, metrics.clone());
    let admission = Admission::by(&serde_json::json!([]));
    let light = (services.subscribe(), admission, Arc::default());
    let clients = Clients::new(
        (access, KcpConfig::default().watch_seconds),
        light,
        kinds,
        Lead::default(),
    );
    let (inputs, events) = mpsc::channel(64);
    let part = Readiness::default().part("kcp");
    let mut follower = Follower::new(clients, KcpConfig::default(), inputs, (part, metrics));
    let slices = ["internal.services", "signing"];
    follower.slices = slices.map(|name| (name.to_owned(), None)).into();
    (follower, events)
}

/// What the engine was told that there is.
fn told(events: &mut mpsc::Receiver<Input>) -> Vec<Vec<String>> {
    let mut told = vec![];
    while let Ok(input) = events.try_recv() {
        if let Input::Event(Event::Endpoints(sources)) = input {
            told.push(sources.iter().map(ToString::to_string).collect());
        }
    }
    told
}

impl Follower {
    async fn reads(&mut self, slice: &str, urls: &[&str]) -> usize {
        let urls = urls.iter().map(|url| Arc::from(*url)).collect();
        self.slices.insert(slice.into(), Some(urls));
        self.update().await;
        self.watches.len()
    }
}

#[tokio::test]
async fn each_kind_is_watched_at_the_endpoints_of_its_slice() {
    let (mut follower, mut events) = follower();
    let (a, b) = ("http://127.0.0.1:1/a", "http://127.0.0.1:1/b");
    assert_eq!(follower.reads("internal.services", &[a]).await, 2);
    assert_eq!(follower.bindings.len(), 1, "one for both kinds");
    assert!(told(&mut events).is_empty(), "a slice was not read yet");
    assert_eq!(follower.reads("signing", &[b]).await, 3);
    let all = [
        "others.internal.services at http://127.0.0.1:1/a",
        "requests.internal.services at http://127.0.0.1:1/a",
        "signings.internal.services at http://127.0.0.1:1/b",
    ];
    assert_eq!(told(&mut events), [all.map(str::to_owned).to_vec()]);
    assert_eq!(follower.reads("internal.services", &[]).await, 1);
    assert_eq!(told(&mut events), [vec![all[2].to_owned()]]);
    assert_eq!(follower.bindings.len(), 1);
    assert_eq!(follower.reads("internal.services", &[a]).await, 3);
}
