//! A server that has too much to do: asked again when it says, for a while; then whoever asked is told. So is
//! one that knew the user no more, when there are other credentials.
//!
//! Kube's own policy asks 15 times over some minutes, and nobody can see why nothing happens meanwhile.

use std::time::Duration;

use http::{Request, Response, StatusCode, Uri, header::RETRY_AFTER};
use kube::{Client, client::Body};

use crate::{
    access::{Access, Renewed},
    election::Lead,
};

/// Pauses before it is asked again, where it says nothing of that.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// It is not left alone for longer, whatever it says.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// A client that asks a busy server again. What it returns of one that stays busy is the last answer, after
/// the pause that this one asked for: so whoever tries again at once keeps to it, too. After a pause nothing
/// is sent for a watcher that leads no more.
///
/// # Errors
/// When the credentials cannot be used.
pub(super) fn client(access: &Access, url: Uri, lead: Lead) -> Result<Client, kube::Error> {
    Ok(patient(access.client(url)?, access.namespace(), lead))
}

fn patient(client: Client, namespace: String, lead: Lead) -> Client {
    let service = tower::service_fn(move |request| {
        let (client, lead) = (client.clone(), lead.clone());
        async move {
            let answer = ask(&client, request, &lead).await;
            answer.map_err(tower::BoxError::from)
        }
    });
    Client::new(service, namespace)
}

async fn ask(
    client: &Client,
    request: Request<Body>,
    lead: &Lead,
) -> Result<Response<Body>, kube::Error> {
    let (parts, body) = request.into_parts();
    for pause in PAUSES {
        let Some(copy) = body.try_clone() else { break };
        let copy = Request::from_parts(parts.clone(), copy);
        let answer = known(client, copy, lead).await?;
        if !is_busy(&answer) {
            return Ok(answer);
        }
        tokio::time::sleep(said(&answer).unwrap_or(pause)).await;
        if lead.is_over() {
            return Ok(answer);
        }
    }
    let answer = known(client, Request::from_parts(parts, body), lead).await?;
    if is_busy(&answer)
        && let Some(pause) = said(&answer)
    {
        tokio::time::sleep(pause).await;
    }
    Ok(answer)
}

/// Asks once more where the server did not know the user, and there are other credentials by now.
async fn known(
    client: &Client,
    request: Request<Body>,
    lead: &Lead,
) -> Result<Response<Body>, kube::Error> {
    let (parts, body) = request.into_parts();
    let copy = body.try_clone();
    let answer = client
        .send(Request::from_parts(parts.clone(), body))
        .await?;
    match copy {
        Some(body) if Renewed::marks(&answer) && !lead.is_over() => {
            client.send(Request::from_parts(parts, body)).await
        }
        _ => Ok(answer),
    }
}

fn is_busy(answer: &Response<Body>) -> bool {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    busy.contains(&answer.status())
}

/// When it wants to be asked again.
fn said(answer: &Response<Body>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?).min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::time::Instant;

    use super::*;

    /// A server that gives the first answer so often, then 200.
    fn server(busy: usize, code: u16, after: Option<&'static str>) -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let service = tower::service_fn(move |_request: Request<Body>| {
            let is_busy = count.fetch_add(1, Ordering::Relaxed) < busy;
            let mut answer = Response::builder().status(if is_busy { code } else { 200 });
            if let Some(after) = after.filter(|_| is_busy) {
                answer = answer.header(RETRY_AFTER, after);
            }
            async move { answer.body(Body::empty()) }
        });
        let client = Client::new(service, "default");
        let lead = Lead::default();
        lead.win_for_ever();
        (patient(client, "default".into(), lead), asked)
    }

    /// The code that comes in the end, after how many seconds, and how often the server was asked.
    async fn ends(busy: usize, code: u16, after: Option<&'static str>) -> (u16, u64, usize) {
        let (client, asked) = server(busy, code, after);
        let begun = Instant::now();
        let request = Request::get("/").body(Body::empty()).unwrap();
        let answer = client.send(request).await.unwrap();
        let (code, seconds) = (answer.status().as_u16(), begun.elapsed().as_secs());
        (code, seconds, asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_asked_again_when_it_said_and_only_three_times() {
        for ((busy, code, after), wanted) in [
            ((1, 429, Some("7")), (200, 7, 2)),
            ((2, 503, None), (200, 1, 3)),
            ((9, 503, None), (503, 1, 3)),
            ((9, 504, Some("2")), (504, 6, 3)),
            ((1, 429, Some("86400")), (200, 20, 2)),
            ((1, 429, Some("Wed, 21 Oct 2026 07:28:00 GMT")), (200, 0, 2)),
            ((9, 500, Some("7")), (500, 0, 1)),
        ] {
            assert_eq!(ends(busy, code, after).await, wanted, "{code} {after:?}");
        }
    }

    #[tokio::test]
    async fn other_credentials_are_tried_once_and_by_a_leader_alone() {
        for (is_renewed, leads, asked) in [(true, true, 2), (false, true, 1), (true, false, 1)] {
            let count = Arc::new(AtomicUsize::new(0));
            let counted = count.clone();
            let service = tower::service_fn(move |_request: Request<Body>| {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut answer = Response::builder().status(401);
                if is_renewed {
                    answer = answer.extension(Renewed);
                }
                async move { answer.body(Body::empty()) }
            });
            let lead = Lead::default();
            if leads {
                lead.win_for_ever();
            }
            let client = patient(Client::new(service, "default"), "default".into(), lead);
            let request = Request::get("/").body(Body::empty()).unwrap();
            let answer = client.send(request).await.unwrap();
            assert_eq!(answer.status(), 401);
            assert_eq!(count.load(Ordering::Relaxed), asked);
        }
    }
}
