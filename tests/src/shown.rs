//! What people get to see, and whether it is fit to be seen.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{Process, Watcher, wait};

/// Words of a stranger: control characters, terminal escapes, line breaks, and signs that turn the
/// direction of reading around.
pub const DIRTY: &str = "50 %\n2026-01-01 ERROR forged\r\u{1b}[2J\u{1b}]0;owned\u{7}\u{0}\u{7f}\u{9b}31m \u{202e}gpj.exe\u{2066}\u{2028}ok äö 🚀";

/// Whether a character can do more than show itself.
#[must_use]
pub fn is_active(c: char) -> bool {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    c.is_control()
        || turns.contains(&c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Fails when a log has a line that its logger did not begin, or a character that could act.
///
/// # Errors
/// With the line.
pub fn log_is_clean(process: &Process) -> Result<()> {
    for line in process.log().lines() {
        ensure!(
            !line.contains(is_active),
            "{}: an active character in {line:?}",
            process.name()
        );
        ensure!(
            line.starts_with("20") && line.contains("Z "),
            "{}: nobody logged {line:?}",
            process.name()
        );
    }
    Ok(())
}

/// Fails when a text of a status holds an active character, or the status is larger than `max` bytes.
///
/// # Errors
/// With the text.
pub fn status_is_clean(status: &Value, max: usize) -> Result<()> {
    let bytes = status.to_string().len();
    ensure!(bytes <= max, "a status of {bytes} bytes");
    texts(status, &mut |text| {
        ensure!(!text.contains(is_active), "an active character in {text:?}");
        Ok(())
    })
}

/// Waits until a counter of a watcher has counted something.
///
/// # Errors
/// After a minute, with what the metric shows.
pub async fn counted(watcher: &Watcher, metric: &str, label: (&str, &str)) -> Result<()> {
    let what = format!("{metric}{label:?} is counted");
    wait::until(&what, wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let found = metrics.sum(metric, &[label]);
        ensure!(found > 0.5, "there is {}", metrics.lines(metric));
        Ok(())
    })
    .await
}

/// Waits until a watcher has counted a stream that broke a rule in that way.
///
/// # Errors
/// After a minute, with what the metric shows.
pub async fn refused(watcher: &Watcher, reason: &str) -> Result<()> {
    counted(watcher, "isc_streams_refused_total", ("reason", reason)).await
}

fn texts(value: &Value, check: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().try_for_each(|item| texts(item, check)),
        Value::Object(fields) => fields.values().try_for_each(|field| texts(field, check)),
        _ => Ok(()),
    }
}
