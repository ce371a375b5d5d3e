//! Publishing with a confirm, one message in flight per channel.
//!
//! A returned (unroutable) message carries no tag, and the client library hands it to whichever confirm
//! comes next; with one message in flight there is only one. Use several channels for parallel publishes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::sync::Mutex;

use super::{AmqpError, CALL_TIMEOUT, Link, within};

/// How long a publish waits for its confirm. A blocked broker ends as this timeout.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
const PERSISTENT: u8 = 2;
const CONTENT_TYPE: &str = "application/json";

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The broker has it.
    Confirmed,
    /// No queue is bound for it; the broker does not have it.
    Returned,
    /// The broker could not take it.
    Nacked,
}

/// A channel in confirm mode.
#[derive(Debug)]
pub struct ConfirmChannel {
    channel: Channel,
    turn: Mutex<()>,
    in_flight: AtomicBool,
}

// === impl Published ===

impl Published {
    /// A word for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Returned => "returned",
            Self::Nacked => "nacked",
        }
    }
}

// === impl ConfirmChannel ===

impl ConfirmChannel {
    /// Opens a channel and turns confirms on.
    ///
    /// # Errors
    /// When the connection is gone or the broker does not answer.
    pub async fn open(link: &Link) -> Result<Self, AmqpError> {
        let channel = link.channel().await?;
        let select = channel.confirm_select(ConfirmSelectOptions::default());
        within(CALL_TIMEOUT, "confirm.select", select).await?;
        Ok(Self {
            channel,
            turn: Mutex::new(()),
            in_flight: AtomicBool::new(false),
        })
    }

    /// The channel, for declarations.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Closes the channel.
    ///
    /// # Errors
    /// When the connection is gone or the broker does not answer.
    pub async fn close(self) -> Result<(), AmqpError> {
        let close = self.channel.close(200, "done".into());
        within(CALL_TIMEOUT, "close channel", close).await
    }

    /// Publishes a persistent JSON message, mandatory, and waits for the confirm. Calls on one channel
    /// take turns.
    ///
    /// # Errors
    /// A broken connection or channel, or no confirm within [`PUBLISH_TIMEOUT`]; whether the broker has
    /// the message is unknown then, and the channel is of no more use.
    ///
    /// # Cancellation
    /// Dropping the future in mid-flight spoils the channel in the same way.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
        message_id: &str,
    ) -> Result<Published, AmqpError> {
        let _turn = self.turn.lock().await;
        if self.in_flight.swap(true, Ordering::Relaxed) {
            return Err(AmqpError::Spoilt);
        }
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(CONTENT_TYPE.into())
            .with_message_id(message_id.into());
        let round_trip = async {
            let sent = self.channel.basic_publish(
                exchange.into(),
                routing_key.into(),
                options,
                body,
                properties,
            );
            sent.await?.await
        };
        let confirmation = within(PUBLISH_TIMEOUT, "publish", round_trip).await?;
        self.in_flight.store(false, Ordering::Relaxed);
        Ok(match confirmation {
            Confirmation::Ack(None) => Published::Confirmed,
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Published::Returned,
            // `NotRequested` cannot happen on a channel in confirm mode; it proves nothing either.
            Confirmation::Nack(None) | Confirmation::NotRequested => Published::Nacked,
        })
    }
}
