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

/// Lists and watches until the listener wants no more.
pub(super) async fn follow<K, L>(api: Api<K>, config: watcher::Config, listener: &mut L)
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    L: Listener<K>,
{
    let mut nag = Nag::new(L::WHAT);
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let mut last_trouble = Instant::now();
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
                    if !listener.hear(event, &mut nag).await {
                        return;
                    }
                }
                Some(Err(error)) => {
                    let said = listener.trouble(&error, explain(&error)).await;
                    nag.trouble(&said);
                    // A list is no success yet: where watching is not allowed, everything would be listed
                    // again and again.
                    if last_trouble.elapsed() > CALM {
                        backoff.reset();
                    }
                    last_trouble = Instant::now();
                    tokio::time::sleep(backoff.delay()).await;
                    if listener.wants_fresh(&error) {
                        break;
                    }
                }
                None => break,
            }
        }
    }
}
