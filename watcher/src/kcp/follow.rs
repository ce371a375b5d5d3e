//! List and watch, for ever: the one loop behind the endpoint slice and the requests.

use std::time::Duration;

use futures::StreamExt as _;
use isc_runtime::{backoff::Backoff, nag::Nag};
use kube::{
    Api, Resource,
    runtime::watcher::{self, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::explain::explain;

/// A virtual workspace answers 403, 404 and 500 while it comes up, so trouble is tried again soon, but
/// a lasting one not often: one cheap call every few seconds, so that work goes on soon after an outage.
pub(super) const BACKOFF: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(5));

/// After so long without trouble the next one is tried again soon.
const CALM: Duration = Duration::from_secs(15);

/// Who hears of a kind's objects.
pub(super) trait Listener<K: Send>: Send {
    /// What is waited for, in the log.
    const WHAT: &'static str;

    /// Hears of an event; false when it wants no more.
    fn hear(
        &mut self,
        event: watcher::Event<K>,
        nag: &mut Nag,
    ) -> impl Future<Output = bool> + Send;

    /// Hears why it hears nothing, in words; returns what to say of it.
    fn trouble(
        &mut self,
        error: &watcher::Error,
        why: String,
    ) -> impl Future<Output = String> + Send;

    /// Whether only a fresh list is good enough after that error. A watch that cannot start would be
    /// tried with the same version for ever.
    fn wants_fresh(&self, error: &watcher::Error) -> bool {
        matches!(error, watcher::Error::WatchStartFailed(_))
    }

    /// Resolves when everything must be listed again. Cancellation safe.
    fn stale(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// The HTTP code of an error; 0 when no server gave it.
pub(super) fn code(error: &watcher::Error) -> u16 {
    match error {
        watcher::Error::WatchError(status)
        | watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code,
        _ => 0,
    }
}

/// What goes wrong with one kind's objects.
struct Troubles {
    nag: Nag,
    backoff: Backoff,
    last: Instant,
    expired: Option<Instant>,
}

// === impl Troubles ===

impl Troubles {
    fn of(what: &'static str) -> Self {
        Self {
            nag: Nag::new(what),
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            last: Instant::now(),
            expired: None,
        }
    }

    /// Says it, where it is one, and waits until it makes sense to go on.
    async fn sit_out<K: Send, L: Listener<K>>(&mut self, error: &watcher::Error, listener: &mut L) {
        if self.is_usual(error) {
            tracing::info!("listing {} again: {}", L::WHAT, explain(error));
        } else {
            let said = listener.trouble(error, explain(error)).await;
            self.nag.trouble(&said);
        }
        // A list is no success yet: where watching is not allowed, everything would be listed again and
        // again.
        if self.last.elapsed() > CALM {
            self.backoff.reset();
        }
        self.last = Instant::now();
        tokio::time::sleep(self.backoff.delay()).await;
    }

    /// API servers forget old versions, and a new kind's cache begins after the list: the stream lists again
    /// by itself, and nobody need look. Unless it happens again and again, or to a list, which may take longer
    /// than its pages are kept.
    fn is_usual(&mut self, error: &watcher::Error) -> bool {
        let is_list = matches!(error, watcher::Error::InitialListFailed(_));
        if code(error) != 410 || is_list {
            return false;
        }
        let before = self.expired.replace(Instant::now());
        before.is_none_or(|at| at.elapsed() > CALM)
    }
}

/// Lists and watches until the listener wants no more.
pub(super) async fn follow<K, L>(api: Api<K>, config: watcher::Config, listener: &mut L)
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    L: Listener<K>,
{
    let mut troubles = Troubles::of(L::WHAT);
    loop {
        // Classic list and watch: consistent, paged; a streaming list of an export without bindings
        // never ends (kcp-dev/kcp#4384).
        let mut stream = watcher(api.clone(), config.clone()).boxed();
        loop {
            let item = tokio::select! {
                item = stream.next() => item,
                () = listener.stale() => break,
            };
            match item {
                Some(Ok(event)) => {
                    if !listener.hear(event, &mut troubles.nag).await {
                        return;
                    }
                }
                Some(Err(error)) => {
                    troubles.sit_out(&error, listener).await;
                    if listener.wants_fresh(&error) {
                        break;
                    }
                }
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::{
        Client,
        client::Body,
        core::{ApiResource, DynamicObject},
    };

    use super::*;

    /// Hears what goes wrong, until it has heard of so many lists.
    #[derive(Default)]
    struct Ear {
        lists: usize,
        troubles: Vec<String>,
    }

    impl Listener<DynamicObject> for Ear {
        const WHAT: &'static str = "things";

        async fn hear(&mut self, event: watcher::Event<DynamicObject>, _nag: &mut Nag) -> bool {
            self.lists += usize::from(matches!(event, watcher::Event::InitDone));
            self.lists < 3
        }

        async fn trouble(&mut self, _error: &watcher::Error, why: String) -> String {
            self.troubles.push(why.clone());
            why
        }
    }

    /// Lists nothing, and has forgotten every version that a watch begins with.
    async fn forgetful(request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},
            "status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}}"#;
        let list = r#"{"kind":"ThingList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
        let is_watch = request.uri().query().unwrap_or_default().contains("watch=");
        let body = if is_watch {
            gone.replace('\n', "") + "\n"
        } else {
            list.to_owned()
        };
        Ok(Response::new(Body::from(body.into_bytes())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_version_is_no_trouble_but_one_after_the_other_is() {
        let client = Client::new(tower::service_fn(forgetful), "default");
        let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Thing"));
        let api: Api<DynamicObject> = Api::all_with(client, &resource);
        let mut ear = Ear::default();
        follow(api, watcher::Config::default(), &mut ear).await;
        assert_eq!(ear.troubles.len(), 1, "{:?}", ear.troubles);
        assert!(ear.troubles[0].contains("too old"), "{:?}", ear.troubles);
    }
}
