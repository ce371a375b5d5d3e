//! Clients that are made anew when there are other credentials.

use std::{sync::Arc, time::Duration};

use http::{Request, Response, StatusCode, Uri};
use kube::{
    Client, Config,
    client::{AuthError, Body},
};
use tokio::sync::Mutex;

use super::{
    Access, LIMIT,
    file::{Found, ReadError},
    proxy::Proxy,
    stack,
};

/// An answer must begin within so long. One that never does is on a connection that somebody between has
/// forgotten.
const ANSWER: Duration = Duration::from_secs(60);

/// What is in force.
#[derive(Clone)]
pub(super) struct State {
    pub(super) number: u64,
    pub(super) config: Config,
    pub(super) proxy: Option<Proxy>,
    pub(super) print: Vec<u8>,
}

/// The marker of an answer 401 after which there are other credentials: it is worth another try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewed;

/// A client of one server that is made anew when there are other credentials.
pub(super) struct Line {
    access: Access,
    url: Uri,
    made: Mutex<(u64, Client)>,
}

// === impl Renewed ===

impl Renewed {
    /// Whether that answer has it.
    pub(crate) fn marks(answer: &Response<Body>) -> bool {
        answer.extensions().get::<Self>().is_some()
    }
}

// === impl State ===

impl State {
    pub(super) fn new(number: u64, found: Found, proxy: Option<&Proxy>) -> Self {
        Self {
            number,
            proxy: found.proxy.or_else(|| proxy.cloned()),
            config: found.config,
            print: found.print,
        }
    }

    /// Whether the user has a program that gives the credentials, which kube keeps until they end.
    pub(super) fn asks_a_program(&self) -> bool {
        self.config.auth_info.exec.is_some()
    }

    /// The same, so that clients are made anew.
    pub(super) fn again(&self) -> Self {
        Self {
            number: self.number + 1,
            ..self.clone()
        }
    }

    fn client(&self, url: &Uri) -> Result<Client, kube::Error> {
        let mut config = self.config.clone();
        config.cluster_url = url.clone();
        stack::client(&config, self.proxy.as_ref()).map_err(without_secrets)
    }

    /// The same where nobody waits but the caller: the user may have a program that takes its time.
    pub(super) async fn client_aside(self: Arc<Self>, url: Uri) -> Result<Client, kube::Error> {
        let making = tokio::task::spawn_blocking(move || self.client(&url));
        match tokio::time::timeout(LIMIT, making).await {
            Ok(Ok(made)) => made,
            Ok(Err(error)) => Err(kube::Error::Service(error.into())),
            Err(_elapsed) => {
                let late = format!("no credentials within {} s", LIMIT.as_secs());
                Err(kube::Error::Service(late.into()))
            }
        }
    }

    /// Whether clients can be made of it.
    pub(super) fn check(&self) -> Result<(), ReadError> {
        let client = self.client(&self.config.cluster_url);
        client
            .map(drop)
            .map_err(|error| ReadError::Client(error.to_string()))
    }
}

// === impl Line ===

impl Line {
    pub(super) fn new(access: Access, url: Uri) -> Result<Self, kube::Error> {
        let state = access.state();
        let made = Mutex::new((state.number, state.client(&url)?));
        Ok(Self { access, url, made })
    }

    /// Asks the server. The files are read again where it does not know the user.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let (number, client) = self.client().await?;
        let method = request.method().clone();
        let answer = tokio::time::timeout(ANSWER, client.send(request)).await;
        let code = match &answer {
            Ok(Ok(answer)) => answer.status().as_u16(),
            _ => 0,
        };
        self.access.inner.metrics.api_call(&method, code);
        let none = || format!("no answer within {} s", ANSWER.as_secs());
        let mut answer = answer.map_err(|_elapsed| kube::Error::Service(none().into()))??;
        if answer.status() == StatusCode::UNAUTHORIZED && self.access.refused(number).await {
            answer.extensions_mut().insert(Renewed);
        }
        Ok(answer)
    }

    /// The client of now; those who have the one before keep it as long as they need it.
    async fn client(&self) -> Result<(u64, Client), kube::Error> {
        let mut made = self.made.lock().await;
        let state = self.access.state();
        if made.0 != state.number {
            let number = state.number;
            *made = (number, state.client_aside(self.url.clone()).await?);
        }
        Ok(made.clone())
    }
}

/// What kube says of a program that gives credentials has its variables and all that it printed in it.
fn without_secrets(error: kube::Error) -> kube::Error {
    let said = match &error {
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            format!(
                "the program that the user's credentials come from failed: {}",
                out.status
            )
        }
        kube::Error::Auth(AuthError::AuthExecParse(_)) => {
            "the program that the user's credentials come from printed something else".into()
        }
        _ => return error,
    };
    kube::Error::Service(said.into())
}
