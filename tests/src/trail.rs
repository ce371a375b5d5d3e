//! An audit as somebody reads it afterwards.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The lines of an audit.
///
/// # Errors
/// When one is no JSON.
pub fn lines_of(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file)?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a line: {line}")))
        .collect()
}

/// What is told of a request, in short.
#[must_use]
pub fn trail(lines: &[Value], uid: &str) -> Vec<String> {
    let word = |value: &Value| match value {
        Value::String(word) => format!(" {word}"),
        Value::Null => String::new(),
        other => format!(" {other}"),
    };
    let of = lines.iter().filter(|line| line["uid"] == uid);
    of.map(|line| {
        let mut told = line["event"].as_str().unwrap_or_default().to_owned();
        for field in [
            "rule", "attempt", "worker", "outcome", "by", "phase", "reason",
        ] {
            told += &word(&line[field]);
        }
        told
    })
    .collect()
}

/// The digest as docs/audit.md has somebody compute it.
///
/// # Errors
/// When `jq` is missing.
pub fn digest(value: &Value) -> Result<String> {
    let command = "jq -cS . | tr -d '\\n' | sha256sum | cut -d' ' -f1";
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    serde_json::to_writer(child.stdin.take().context("it has one")?, value)?;
    let output = child.wait_with_output()?;
    let digits = String::from_utf8(output.stdout)?;
    Ok(format!("sha256:{}", digits.trim()))
}
