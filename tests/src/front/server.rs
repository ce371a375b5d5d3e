//! The server behind a front: one call a connection.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use futures::{AsyncBufReadExt as _, pin_mut};
use kube::{Client, Config, config::KubeConfigOptions};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinSet,
    time::Instant,
};

use super::{Answer, Call};
use crate::{Environment, Who, net};

/// What kube calls an answer that is no Status.
const PLAIN: &str = "Failed to parse error data";

/// What is answered to what, and how often.
pub(super) type Fault = (Box<dyn Fn(&Call) -> bool + Send>, Answer, usize);

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    faults: Vec<Fault>,
}

#[derive(Clone)]
pub(super) struct Shared {
    state: Arc<Mutex<State>>,
    /// A last line for every open watch.
    lines: broadcast::Sender<String>,
    kcp: Client,
    address: SocketAddr,
}

struct Asked {
    call: Call,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

// === impl Shared ===

impl Shared {
    /// For the kcp of these servers.
    pub(super) async fn new(env: &Environment, address: SocketAddr) -> Result<Self> {
        let mut kubeconfig = Who::Admin.kubeconfig_of(env, &env.kcp_url)?;
        // Everybody brings a token.
        kubeconfig["users"][0]["user"] = json!({});
        let options = KubeConfigOptions::default();
        let kubeconfig = serde_json::from_value(kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.default_retry = false;
        Ok(Self {
            state: Arc::default(),
            lines: broadcast::channel(16).0,
            kcp: Client::try_from(config)?,
            address,
        })
    }

    /// Begins to listen.
    pub(super) async fn serve(&self) -> Result<JoinSet<()>> {
        let listener = TcpListener::bind(self.address).await?;
        let mut tasks = JoinSet::new();
        let each = self.clone();
        tasks.spawn(net::accept(listener, move |stream| {
            each.clone().connection(stream)
        }));
        Ok(tasks)
    }

    pub(super) fn add(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    pub(super) fn clear(&self) {
        self.lock().faults.clear();
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    pub(super) fn end_watches(&self, line: &str) {
        // Fails when there is none.
        let _nobody = self.lines.send(line.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a call, and says what to answer in kcp's place.
    fn judge(&self, call: &mut Call) -> Option<Answer> {
        let mut state = self.lock();
        let fault = state
            .faults
            .iter_mut()
            .find(|(wanted, _, times)| *times > 0 && wanted(call));
        let answer = fault.map(|(_, answer, times)| {
            *times -= 1;
            answer.clone()
        });
        call.refused = answer.as_ref().map(|answer| answer.code);
        state.calls.push(call.clone());
        answer
    }

    /// One call of a connection; whoever comes opens another one for the next.
    async fn connection(self, mut stream: TcpStream) -> Result<()> {
        let mut asked = read(&mut stream).await?;
        let mut lines = self.lines.subscribe();
        if let Some(answer) = self.judge(&mut asked.call) {
            stream.write_all(answer.text().as_bytes()).await?;
            return Ok(());
        }
        let watches = asked.call.target.contains("watch=true");
        tokio::select! {
            passed = self.pass(asked, &mut stream) => passed?,
            Ok(line) = lines.recv(), if watches => stream.write_all(line.as_bytes()).await?,
        }
        Ok(stream.shutdown().await?)
    }

    async fn pass(&self, asked: Asked, stream: &mut TcpStream) -> Result<()> {
        let slices = asked.call.target.contains("/apiexportendpointslices");
        let mut request = http::Request::builder()
            .method(asked.call.method.as_str())
            .uri(&asked.call.target);
        for (name, value) in asked.headers {
            request = request.header(name, value);
        }
        let body = match self.kcp.request_stream(request.body(asked.body)?).await {
            Ok(body) => body,
            Err(kube::Error::Api(status)) => {
                let plain = status.reason == PLAIN;
                let body = if plain {
                    status.message.clone()
                } else {
                    serde_json::to_string(&status)?
                };
                let answer = Answer::plain(status.code, &body);
                stream.write_all(answer.text().as_bytes()).await?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        pin_mut!(body);
        let mut line = Vec::new();
        while body.read_until(b'\n', &mut line).await? > 0 {
            if slices {
                line = self.renamed(&line);
            }
            stream.write_all(&line).await?;
            line.clear();
        }
        Ok(())
    }

    /// Endpoints as they are reached through this proxy.
    fn renamed(&self, line: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(line);
        let ours = |part: &str| {
            let (host, path) = part.split_once('/').unwrap_or((part, ""));
            if path.starts_with("services/apiexport/") {
                format!("\"http://{}/{path}", self.address)
            } else {
                format!("\"https://{host}/{path}")
            }
        };
        let mut parts = text.split("\"https://");
        let first = parts.next().unwrap_or_default().to_owned();
        let renamed: Vec<_> = std::iter::once(first).chain(parts.map(ours)).collect();
        renamed.concat().into_bytes()
    }
}

/// Reads a request whose body, if any, has a stated length.
async fn read(stream: &mut TcpStream) -> Result<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_owned();
    let mut lines = head.lines();
    let first = lines.next().context("no request line")?;
    let mut words = first.split(' ');
    let (method, target) = (words.next(), words.next());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let all: Vec<_> = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let token = all.iter().find(|(name, _)| name == "authorization");
    let token = token.and_then(|(_, value)| value.strip_prefix("Bearer "));
    let call = Call {
        at: Instant::now(),
        method: method.context("a method")?.to_owned(),
        target: target.context("a target")?.to_owned(),
        token: token.map(str::to_owned),
        refused: None,
    };
    let length = all.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Ok(0), |(_, value)| value.parse::<usize>())?;
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    let ours = ["host", "content-length", "connection"];
    let headers = all
        .into_iter()
        .filter(|(name, _)| !ours.contains(&name.as_str()))
        .collect();
    Ok(Asked {
        call,
        headers,
        body,
    })
}
