//! The supervisor: connect, run the session, rebuild, for ever.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use lapin::{Connection, ConnectionProperties, Event};
use rand::RngExt as _;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Address, AmqpConfig, AmqpError, BrokerState, CALL_TIMEOUT, Link, Topology,
    config::TLS_SECTION,
    declare,
    socket::{self, Socket, Tls},
    within,
};
use crate::{
    admin::Part,
    backoff::Backoff,
    nag::Nag,
    tls::{self, ClientCredentials},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for each of several addresses.
const SEVERAL_TIMEOUT: Duration = Duration::from_secs(4);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a session has for its last words once the connection is gone.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// A connection that lived this long starts the back-off over.
const STABLE: Duration = Duration::from_secs(10);
/// Seconds of silence after which either side takes the other for dead.
const HEARTBEAT_SECONDS: u16 = 20;
/// The client's buffers are 32 frames each; tickets are small. Brokers refuse less than 8192.
const FRAME_MAX: u32 = 16 * 1024;

/// What runs on a connection. A closure `FnMut(Link) -> impl Future` is one too.
pub trait Session: Send {
    /// Builds everything it needs on a fresh link and works until the link breaks, a call on it fails,
    /// or the caller shuts down.
    fn run(&mut self, link: Link) -> impl Future<Output = Result<(), AmqpError>> + Send;
}

/// Owns the connection to the broker.
#[derive(Debug)]
pub struct Connector {
    config: AmqpConfig,
    credentials: Option<Arc<ClientCredentials>>,
    name: String,
    part: Part,
    state: watch::Sender<BrokerState>,
}

// === impl Session ===

impl<F, R> Session for F
where
    F: FnMut(Link) -> R + Send,
    R: Future<Output = Result<(), AmqpError>> + Send,
{
    fn run(&mut self, link: Link) -> impl Future<Output = Result<(), AmqpError>> + Send {
        self(link)
    }
}

// === impl Connector ===

impl Connector {
    /// `credentials` are those of `config`; `name` is shown at the broker beside the connection; `part` is
    /// switched with its state.
    #[must_use]
    pub fn new(
        config: AmqpConfig,
        credentials: Option<Arc<ClientCredentials>>,
        name: impl Into<String>,
        part: Part,
    ) -> Self {
        Self {
            config,
            credentials,
            name: name.into(),
            part,
            state: watch::Sender::default(),
        }
    }

    /// The broker's state as it changes, for metrics.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.subscribe()
    }

    /// Connects and runs `session`, again and again with jittered pauses, until `shutdown`.
    ///
    /// The session gets a fresh [`Link`] each time and builds everything it needs on it. It returns when
    /// [`Link::broken`] resolves (a few seconds later it is dropped), when any call on it fails, or when
    /// the caller shuts down: `shutdown` alone does not interrupt it, so that it can drain.
    pub async fn supervise(&self, shutdown: CancellationToken, mut session: impl Session) {
        let mut backoff = Backoff::network();
        let mut nag = Nag::new("RabbitMQ");
        while !shutdown.is_cancelled() {
            let attempt = shutdown.run_until_cancelled(self.connect()).await;
            let Some(attempt) = attempt else { break };
            let ended = match attempt {
                Ok((_, connection, socket)) => {
                    let since = Instant::now();
                    let ended = self.live(connection, &mut session, &mut nag).await;
                    // Whatever did not close by itself ends here.
                    drop(socket);
                    if since.elapsed() >= STABLE {
                        backoff.reset();
                    }
                    ended
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => self.down("connecting"),
                Err(error) => {
                    self.down(&error.to_string());
                    nag.trouble(&error.to_string());
                }
            }
            let pause = tokio::time::sleep(backoff.delay());
            shutdown.run_until_cancelled(pause).await;
        }
        self.down("shut down");
    }

    /// Connects once, declares exchanges and the queues of these services, and ends. Returns where it was.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn probe(
        &self,
        topology: &Topology,
        services: &[String],
    ) -> Result<String, AmqpError> {
        let (address, connection, _socket) = self.connect().await?;
        let opening = connection.create_channel();
        let channel = within(CALL_TIMEOUT, "open channel", opening).await?;
        declare(&channel, topology, services).await?;
        let close = connection.close(200, "done".into());
        within(CLOSE_TIMEOUT, "close", close).await?;
        Ok(address.to_string())
    }

    fn down(&self, why: &str) {
        self.part.not_ready(why);
        let down = BrokerState::Down(why.to_owned());
        self.state.send_if_modified(|state| {
            let news = *state != down;
            *state = down;
            news
        });
    }

    /// Connects to the first address that lets it in, beginning with any, so that many processes spread over
    /// a cluster's nodes.
    async fn connect(&self) -> Result<(Address, Connection, Arc<Socket>), AmqpError> {
        let mut addresses = self.config.addresses()?;
        let first = rand::rng().random_range(0..addresses.len());
        addresses.rotate_left(first);
        // A node that does not answer holds the others up.
        let limit = if addresses.len() > 1 {
            SEVERAL_TIMEOUT
        } else {
            CONNECT_TIMEOUT
        };
        let mut troubles = vec![];
        for address in addresses {
            match self.connect_to(&address, limit).await {
                Ok((connection, socket)) => return Ok((address, connection, socket)),
                Err(error) => troubles.push(error),
            }
        }
        Err(AmqpError::all(troubles))
    }

    async fn connect_to(
        &self,
        address: &Address,
        limit: Duration,
    ) -> Result<(Connection, Arc<Socket>), AmqpError> {
        let mut uri = address.uri().clone();
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        let tls = self.credentials.as_ref().map(|credentials| Tls {
            config: credentials.current(),
            name: self
                .config
                .tls
                .as_ref()
                .and_then(|tls| tls.server_name.clone()),
        });
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connecting = socket::connect(uri, tls, properties, limit);
        within(limit, "connect", connecting)
            .await
            .map_err(|error| at(address, error))
    }

    async fn live(
        &self,
        connection: Connection,
        session: &mut impl Session,
        nag: &mut Nag,
    ) -> Result<(), AmqpError> {
        let connection = Arc::new(connection);
        let mut events = std::pin::pin!(connection.events_listener());
        self.up(nag);
        let link = Link::new(connection.clone(), self.state.subscribe());
        let mut running = std::pin::pin!(session.run(link.clone()));
        let ended = tokio::select! {
            biased;
            ended = &mut running => ended,
            lost = self.follow(&mut events, nag) => {
                self.down(&lost.to_string());
                // The session hears of it through its link; what hangs is dropped.
                let _last_words = tokio::time::timeout(LAST_WORDS, &mut running).await;
                Err(lost)
            }
        };
        let close = connection.close(200, "done".into());
        let _already_gone = within(CLOSE_TIMEOUT, "close", close).await;
        drop(link);
        ended
    }

    fn up(&self, nag: &mut Nag) {
        nag.well();
        self.part.ready();
        self.state.send_replace(BrokerState::Up);
    }

    /// Follows a connection's events until one ends it. A failed channel counts as the end as well:
    /// what was built on it is gone, and rebuilding all of it is the one way that is always right.
    async fn follow(
        &self,
        events: &mut (impl Stream<Item = Event> + Unpin),
        nag: &mut Nag,
    ) -> AmqpError {
        while let Some(event) = events.next().await {
            match event {
                Event::Error(error) => return AmqpError::Lost(error.to_string()),
                Event::ConnectionBlocked(why) => {
                    nag.trouble(&format!("the broker takes no messages: {why}"));
                    self.part.ready_but(&format!("takes no messages: {why}"));
                    self.state.send_replace(BrokerState::Blocked(why));
                }
                Event::ConnectionUnblocked => self.up(nag),
                _ => {}
            }
        }
        AmqpError::Lost("the connection has ended".into())
    }
}

/// A refused connect says where it went.
fn at(address: &Address, error: AmqpError) -> AmqpError {
    match error {
        AmqpError::Broker { source, .. } => AmqpError::Connect {
            address: address.to_string(),
            why: tls::explain(&source, TLS_SECTION).unwrap_or_else(|| source.to_string()),
        },
        AmqpError::Timeout { after, .. } => AmqpError::Connect {
            address: address.to_string(),
            why: format!("no answer within {} s", after.as_secs()),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::admin::Readiness;

    #[tokio::test]
    async fn a_broker_that_is_not_there_is_waited_for_and_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let config = AmqpConfig {
            url: format!("amqp://isc:s3cret@127.0.0.1:{port}/%2f"),
            ..AmqpConfig::default()
        };
        let readiness = Readiness::default();
        let connector = Connector::new(config, None, "test", readiness.part("rabbitmq"));
        let (mut state, shutdown) = (connector.state(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let token = shutdown.clone();
        tasks.spawn(async move {
            connector
                .supervise(token, |link: Link| async move { Err(link.broken().await) })
                .await;
        });
        let down = |state: &BrokerState| matches!(state, BrokerState::Down(_));
        let waited = tokio::time::timeout(Duration::from_secs(5), state.wait_for(down)).await;
        drop(waited.expect("the state changes").unwrap());
        let (ready, text) = readiness.report();
        assert!(
            !ready && text.contains(&format!("amqp://isc@127.0.0.1:{port}/%2f")),
            "{text}"
        );
        assert!(!text.contains("s3cret"));
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), tasks.join_all())
            .await
            .expect("the supervisor ends with the shutdown");
    }
    #[tokio::test]
    async fn a_peer_that_says_nothing_is_hung_up_on() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = AmqpConfig {
            url: format!("amqp://{address}"),
            ..AmqpConfig::default()
        };
        let uri = config.addresses().unwrap()[0].uri().clone();
        let properties = ConnectionProperties::default();
        let connecting = socket::connect(uri, None, properties, CONNECT_TIMEOUT);
        let (accepted, given_up) = tokio::join!(
            listener.accept(),
            tokio::time::timeout(Duration::from_millis(300), connecting),
        );
        assert!(given_up.is_err());
        let mut greeting = vec![];
        let (mut stream, _) = accepted.unwrap();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut greeting);
        let read = tokio::time::timeout(Duration::from_secs(5), read).await;
        read.expect("the connection must end").unwrap();
        assert!(greeting.starts_with(b"AMQP"));
    }
}
