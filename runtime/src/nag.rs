//! Saying that something is missing without flooding the log.

use std::time::Duration;

use tokio::time::Instant;

/// How often a lasting trouble is repeated.
const EVERY: Duration = Duration::from_secs(60);

/// Says a trouble at once, when it changes, and then once a minute; says when it is over.
#[derive(Debug)]
pub struct Nag {
    what: &'static str,
    said: Option<(Instant, String)>,
}

// === impl Nag ===

impl Nag {
    /// `what` names the thing that is waited for, as in "RabbitMQ".
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, said: None }
    }

    /// Notes the trouble; logs it when it is new or a minute old. Returns whether it logged.
    pub fn trouble(&mut self, message: &str) -> bool {
        let now = Instant::now();
        let repeated = self
            .said
            .as_ref()
            .is_some_and(|(at, text)| text == message && now < *at + EVERY);
        if !repeated {
            tracing::warn!("waiting for {}: {message}", self.what);
            self.said = Some((now, message.to_owned()));
        }
        !repeated
    }

    /// Notes that all is well; logs when there was trouble before.
    pub fn well(&mut self) {
        if self.said.take().is_some() {
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
        tokio::time::advance(EVERY).await;
        assert!(nag.trouble("access refused"));
        nag.well();
        assert!(
            nag.trouble("access refused"),
            "after a recovery it is news again"
        );
    }
}
