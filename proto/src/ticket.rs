//! The ticket: the AMQP message that offers one attempt of one request.
//!
//! It carries no parameters and no secrets; those come with the claim. Losing or doubling a ticket is
//! harmless, since the claim decides.

use serde::{Deserialize, Serialize};

/// The newest ticket format this build writes and reads.
pub const VERSION: u32 = 1;
/// A ticket's largest size, bytes.
pub const MAX_BYTES: usize = 1024;
/// The longest UID that a watcher takes from a worker, bytes; Kubernetes makes UIDs of 36.
pub const UID_MAX: usize = 128;
/// The content type of a ticket.
pub const CONTENT_TYPE: &str = "application/json";

/// The offer of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Format version: [`VERSION`].
    pub version: u32,
    /// The ISC instance that published it.
    pub instance: String,
    /// The request's UID.
    pub uid: String,
    /// The attempt on offer, counted from 1.
    pub attempt: u32,
    /// The service to run.
    pub service: String,
    /// What is on offer.
    pub kind: TicketKind,
    /// The request's address, for logs only: `cluster/namespace/name`.
    pub address: String,
    /// W3C trace context; absent when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
}

/// What a ticket asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketKind {
    /// Run the attempt.
    Run,
    /// End the outside run of an attempt that nobody holds any more.
    Stop,
}

/// Why bytes are not a ticket of ours. Such a message belongs to the dead letters.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// Larger than [`MAX_BYTES`].
    #[error("the ticket has {0} bytes, more than {MAX_BYTES}")]
    TooLarge(usize),
    /// Not the JSON of a ticket.
    #[error("the ticket is not valid JSON of a ticket: {0}")]
    Json(#[from] serde_json::Error),
    /// A format this build does not know.
    #[error(
        "ticket version {0} is not supported, this build reads version {VERSION}: upgrade the worker"
    )]
    Version(u32),
    /// What it names cannot be an attempt: a watcher would end the stream of whoever claims that.
    #[error(
        "the ticket names no attempt: its `uid` must have 1 to {UID_MAX} visible ASCII characters, and its `attempt` must be at least 1"
    )]
    Attempt,
}

// === impl Ticket ===

impl Ticket {
    /// The AMQP `message_id`: `uid/attempt`.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!("{}/{}", self.uid, self.attempt)
    }

    /// The message body.
    ///
    /// # Errors
    /// [`TicketError::TooLarge`] when a name in it is absurdly long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TicketError> {
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() > MAX_BYTES {
            return Err(TicketError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads a message body. Unknown fields are ignored, so that a newer watcher may add some.
    ///
    /// # Errors
    /// Anything that is not a ticket of a known version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TicketError> {
        if bytes.len() > MAX_BYTES {
            return Err(TicketError::TooLarge(bytes.len()));
        }
        let ticket: Self = serde_json::from_slice(bytes)?;
        if ticket.version != VERSION {
            return Err(TicketError::Version(ticket.version));
        }
        let plain = ticket.uid.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || !(1..=UID_MAX).contains(&ticket.uid.len()) || ticket.attempt == 0 {
            return Err(TicketError::Attempt);
        }
        Ok(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            version: VERSION,
            instance: "isc".into(),
            uid: "3f1c".into(),
            attempt: 2,
            service: "sign".into(),
            kind: TicketKind::Run,
            address: "1abc/default/sign-1".into(),
            traceparent: String::new(),
        }
    }

    #[test]
    fn a_ticket_survives_its_wire_format() {
        let bytes = ticket().to_bytes().unwrap();
        assert_eq!(Ticket::from_bytes(&bytes).unwrap(), ticket());
        assert_eq!(ticket().message_id(), "3f1c/2");
    }

    #[test]
    fn a_ticket_of_an_unknown_version_names_the_remedy() {
        let bytes = serde_json::to_vec(&Ticket {
            version: 9,
            ..ticket()
        })
        .unwrap();
        let error = Ticket::from_bytes(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("version 9") && error.contains("upgrade"),
            "{error}"
        );
    }

    #[test]
    fn a_ticket_that_names_no_attempt_is_refused() {
        let long = "u".repeat(UID_MAX + 1);
        for (uid, attempt) in [("", 1), ("a b", 1), ("a\n", 1), (&*long, 1), ("3f1c", 0)] {
            let uid = uid.to_owned();
            let forged = Ticket {
                uid,
                attempt,
                ..ticket()
            };
            let refused = Ticket::from_bytes(&forged.to_bytes().unwrap());
            assert!(matches!(refused, Err(TicketError::Attempt)), "{forged:?}");
        }
    }

    #[test]
    fn what_is_not_a_ticket_is_refused() {
        assert!(matches!(
            Ticket::from_bytes(b"{broken"),
            Err(TicketError::Json(_))
        ));
        assert!(matches!(
            Ticket::from_bytes(&[b' '; 2000]),
            Err(TicketError::TooLarge(2000))
        ));
    }

    #[test]
    fn a_field_that_a_newer_watcher_added_is_ignored() {
        let mut value = serde_json::to_value(ticket()).unwrap();
        value["color"] = "blue".into();
        let bytes = serde_json::to_vec(&value).unwrap();
        assert_eq!(Ticket::from_bytes(&bytes).unwrap(), ticket());
    }
}
