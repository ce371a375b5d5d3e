//! What goes wrong with the broker, and the timeout around every call to it.

use std::{future::Future, path::PathBuf, time::Duration};

use crate::tls::TlsError;

/// Why something at the broker did not work. No message carries a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmqpError {
    /// The file with the address cannot be read.
    #[error(
        "cannot read `amqp.urlFile` {path}: {source}; it must hold one line, as in amqp://user:password@host:5672/%2f"
    )]
    UrlFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The address is not one.
    #[error(
        "{origin} is not an AMQP address: {why}; write it as in amqp://user:password@host:5672/%2f, special characters percent-encoded"
    )]
    Url {
        /// `amqp.url` or the file.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// An encrypted address without anybody to trust.
    #[error(
        "{0} is encrypted, but `amqp.tls.caFile` is missing: name a PEM file with the authorities that the broker's certificate may come from"
    )]
    NoTls(String),
    /// The files of `amqp.tls` cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The prefix cannot be part of queue names.
    #[error("`amqp.prefix` is `{0}`: use 1 to 100 of a-z, A-Z, 0-9, `-`, `_` and `.`")]
    Prefix(String),
    /// No connection.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// The address, without its password.
        address: String,
        /// The cause.
        why: String,
    },
    /// No connection to any of several addresses.
    #[error("no node of the broker can be reached: {0}")]
    NoneOf(String),
    /// No answer in time.
    #[error("{op}: no answer within {} s", after.as_secs_f32())]
    Timeout {
        /// What was asked for.
        op: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// The broker or the client library refused.
    #[error("{op}: {source}")]
    Broker {
        /// What was asked for.
        op: &'static str,
        /// The cause.
        source: lapin::Error,
    },
    /// The connection ended, or a channel on it failed, which ends it too.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// An earlier call on this channel was given up, so that its answer could be taken for another's.
    #[error("the channel is spoilt by a publish that was given up; open a new one")]
    Spoilt,
}

// === impl AmqpError ===

impl AmqpError {
    /// One error for those of all addresses.
    pub(super) fn all(mut troubles: Vec<Self>) -> Self {
        match troubles.pop() {
            Some(only) if troubles.is_empty() => only,
            last => {
                troubles.extend(last);
                let mut told: Vec<String> = troubles.iter().map(ToString::to_string).collect();
                // Any of them was the first: the same trouble is to have the same text.
                told.sort_unstable();
                told.dedup();
                Self::NoneOf(told.join("; "))
            }
        }
    }

    /// A word for labels.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UrlFile { .. }
            | Self::Url { .. }
            | Self::NoTls(_)
            | Self::Tls(_)
            | Self::Prefix(_) => "config",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } | Self::NoneOf(_) => "connect",
            Self::Broker { .. } => "broker",
            Self::Lost(_) => "lost",
            Self::Spoilt => "spoilt",
        }
    }
}

/// Awaits a call to the broker for at most `limit`. `op` names it in errors, as in "declare queue".
///
/// # Errors
/// [`AmqpError::Timeout`] or [`AmqpError::Broker`].
pub async fn within<T>(
    limit: Duration,
    op: &'static str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, AmqpError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(AmqpError::Broker { op, source }),
        Err(_) => Err(AmqpError::Timeout { op, after: limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_ends_with_its_name() {
        let hangs = std::future::pending::<lapin::Result<()>>();
        let error = within(Duration::from_secs(10), "declare queue", hangs)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "declare queue: no answer within 10 s");
        assert_eq!(error.reason(), "timeout");
    }
}
