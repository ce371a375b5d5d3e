//! Tables for people, and files for programs.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use isc_tests::environment::repository;
use serde::Serialize;

/// Lines of a name and what was found.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _infallible = writeln!(text, "  {name:<width$}  {value}");
        text
    })
}

/// Writes a file below target/bench.
pub(crate) fn write(name: &str, found: &impl Serialize) -> Result<()> {
    let file = folder()?.join(name);
    let text = serde_json::to_string_pretty(found)? + "\n";
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    println!("written: {}", file.display());
    Ok(())
}

/// Where files are written.
pub(crate) fn folder() -> Result<PathBuf> {
    let dir = repository().join("target/bench");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The largest.
pub(crate) fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// The mean.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / number(values.len().max(1))
}

/// A count to calculate with.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// A count that was told as a number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of requests"
)]
pub(crate) fn whole(count: f64) -> usize {
    count.round() as usize
}
