//! One connection to the broker, as a session sees it.

use std::sync::{Arc, Mutex, PoisonError};

use lapin::{Channel, Connection};
use tokio::sync::watch;

use super::{AmqpError, CALL_TIMEOUT, within};

/// Whether the broker is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BrokerState {
    /// No connection, and why.
    Down(String),
    /// Between start and the first try.
    #[default]
    Starting,
    /// Connected.
    Up,
    /// Connected, but the broker takes no messages (it is short of memory or disk), and why.
    /// Publishes wait until it does.
    Blocked(String),
}

/// A connection that a session works on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    connection: Arc<Connection>,
    /// A channel that is dropped closes itself; these are kept to end with the connection.
    channels: Arc<Mutex<Vec<Channel>>>,
    state: watch::Receiver<BrokerState>,
}

// === impl BrokerState ===

impl BrokerState {
    /// Whether there is a connection, blocked or not.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Up | Self::Blocked(_))
    }
}

// === impl Link ===

impl Link {
    pub(super) fn new(connection: Arc<Connection>, state: watch::Receiver<BrokerState>) -> Self {
        Self {
            connection,
            channels: Arc::default(),
            state,
        }
    }

    /// Opens a channel, which stays open as long as the connection: open a few, not one per message.
    ///
    /// # Errors
    /// When the connection is gone or the broker does not answer.
    pub async fn channel(&self) -> Result<Channel, AmqpError> {
        let open = self.connection.create_channel();
        let channel = within(CALL_TIMEOUT, "open channel", open).await?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.push(channel.clone());
        Ok(channel)
    }

    /// Resolves when this connection ends or any channel on it fails. A session must return then.
    ///
    /// Cancellation safe; resolves at once when it is over already.
    pub async fn broken(&self) -> AmqpError {
        let mut state = self.state.clone();
        let down = state.wait_for(|state| !state.is_connected()).await;
        match down.as_deref() {
            Ok(BrokerState::Down(why)) => AmqpError::Lost(why.clone()),
            _ => AmqpError::Lost("the connector has ended".into()),
        }
    }

    /// The state as it changes, for showing it.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.clone()
    }
}
