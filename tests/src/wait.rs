//! Waiting for a condition with a deadline: the only way anything here waits.

use std::{fmt, time::Duration};

use anyhow::{Result, anyhow};
use tokio::time::Instant;

/// How long a condition is given unless a caller knows better.
pub const USUAL: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// An error that ends a wait at once, because no more waiting can help.
#[derive(Debug)]
pub struct Fatal(String);

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}

/// An error for the check of [`until`] that ends the wait.
pub fn fatal(message: impl Into<String>) -> anyhow::Error {
    Fatal(message.into()).into()
}

/// Asks again and again until the check succeeds.
///
/// # Errors
/// After `limit`, with `what` and the check's last error; at once on a [`fatal`] one.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = anyhow!("the first check did not answer");
    loop {
        match tokio::time::timeout_at(deadline, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if error.is::<Fatal>() => return Err(error.context(what.to_owned())),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => {}
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(last.context(format!("{what}: not within {} s", limit.as_secs())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
