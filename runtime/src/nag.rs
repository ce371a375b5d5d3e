//! Saying that something is missing without flooding the log.

use std::time::Duration;

use tokio::time::Instant;

/// How often a lasting trouble is repeated.
const EVERY: Duration = Duration::from_secs(60);

/// How many different texts of one trouble are remembered; more are unlikely within a minute.
const TEXTS: usize = 8;

/// Says a trouble at once, in each of its forms, and then once a minute; says when it is over.
///
/// A dependency that is away often fails in turns: refused, reset, handshake cut short. So every text
/// has its own minute.
#[derive(Debug)]
pub struct Nag {
    what: &'static str,
    said: Vec<(Instant, String)>,
}

// === impl Nag ===

impl Nag {
    /// `what` names the thing that is waited for, as in "RabbitMQ".
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, said: vec![] }
    }

    /// Notes the trouble; logs it when it is new or a minute old. Returns whether it logged.
    pub fn trouble(&mut self, message: &str) -> bool {
        let now = Instant::now();
        self.said.retain(|(at, _)| now < *at + EVERY);
        let repeated =
            self.said.iter().any(|(_, text)| text == message) || self.said.len() >= TEXTS;
        if !repeated {
            tracing::warn!("waiting for {}: {message}", self.what);
            self.said.push((now, message.to_owned()));
        }
        !repeated
    }

    /// Notes that all is well; logs when there was trouble before.
    pub fn well(&mut self) {
        if !self.said.is_empty() {
            self.said.clear();
            tracing::info!("{} is there", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_is_said_once_a_minute() {
        let mut nag = Nag::new("RabbitMQ");
        assert!(nag.trouble("connection refused"));
        assert!(!nag.trouble("connection refused"));
        assert!(nag.trouble("access refused"), "another trouble is news");
        assert!(
            !nag.trouble("connection refused"),
            "troubles that take turns are no flood"
        );
        tokio::time::advance(EVERY).await;
        assert!(nag.trouble("access refused"));
        nag.well();
        assert!(
            nag.trouble("access refused"),
            "after a recovery it is news again"
        );
    }
}
