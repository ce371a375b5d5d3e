//! Comparing what came out with what was announced.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use isc_tests::team::{message, reason};

use super::{
    Row,
    plan::{self, Announced, Job, digest},
};
use crate::stack::{Stack, openssl};

/// The checks so far; each is printed as it is made.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    made: usize,
    failed: usize,
}

// === impl Checks ===

impl Checks {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Prints a check and counts it.
    pub(crate) fn note(&mut self, what: &str, result: Result<()>) {
        self.made += 1;
        match result {
            Ok(()) => println!("  ok      {what}"),
            Err(error) => {
                self.failed += 1;
                println!("  FAILED  {what}: {error:#}");
            }
        }
    }

    /// Prints a condition and counts it.
    pub(crate) fn holds(&mut self, what: &str, holds: bool) {
        self.note(
            what,
            if holds {
                Ok(())
            } else {
                Err(anyhow::anyhow!("over the limit"))
            },
        );
    }

    /// Compares one request's end with what was announced.
    pub(crate) fn result(&mut self, stack: &Stack, job: &Job, row: &Row) {
        let title = format!("{}/{}", row.team, row.name);
        let (what, result) = match &job.announced {
            Announced::Signature(file) => (
                format!(
                    "{title}: openssl verifies the signature of {}",
                    file_name(file)
                ),
                signature(stack, row, file),
            ),
            Announced::Copy(file) => (
                format!(
                    "{title}: {} was published whole, with moving progress",
                    file_name(file)
                ),
                copy(stack, row, file),
            ),
            Announced::Refused {
                phase,
                reason,
                message,
            } => (
                format!("{title}: {phase} with reason {reason} and \"{message}\" in the message"),
                refused(row, [phase, reason, message]),
            ),
        };
        self.note(&what, result);
    }

    /// The control: a signature must not verify for another file.
    pub(crate) fn forgery(&mut self, stack: &Stack, jobs: &[Job], rows: &[Row]) {
        let mut signed = jobs
            .iter()
            .zip(rows)
            .filter_map(|(job, row)| match &job.announced {
                Announced::Signature(file) => Some((file, row)),
                _ => None,
            });
        let result = match (signed.next(), signed.next()) {
            // The same signature verifies for its own file, so a failure here is about the file.
            (Some((own, row)), Some((other, _))) => {
                signature(stack, row, own).and_then(|()| match signature(stack, row, other) {
                    Ok(()) => Err(anyhow::anyhow!("it does")),
                    Err(_) => Ok(()),
                })
            }
            _ => Err(anyhow::anyhow!("fewer than two signatures")),
        };
        self.note(
            "control: one team's signature does not verify for the other team's file",
            result,
        );
    }

    /// What a failed job says about itself stays inside: it is in the log of its worker.
    pub(crate) fn log_says_why(&mut self, stack: &Stack) {
        let logs = stack.workers.iter().map(|w| w.process.log());
        let said = logs.filter(|log| log.contains(plan::NONSENSE)).count();
        let result = (said == 1)
            .then_some(())
            .with_context(|| format!("{said} workers' logs say so"));
        let what = format!("the worker's log says why it failed: {}", plan::NONSENSE);
        self.note(&what, result);
    }

    /// What the requests cost the API server.
    pub(crate) async fn writes(&mut self, stack: &Stack, rows: &[Row]) {
        let result = async {
            let metrics = stack.watcher.metrics().await?;
            let ends = metrics.sum(
                "isc_status_writes_total",
                &[("kind", "end"), ("result", "ok")],
            );
            let live = metrics.sum(
                "isc_status_writes_total",
                &[("kind", "live"), ("result", "ok")],
            );
            println!(
                "  status writes: {ends} ends, {live} while running, for {} requests",
                rows.len()
            );
            let wanted = u32::try_from(rows.len()).map(f64::from)?;
            ensure!((ends - wanted).abs() < 0.5, "{ends} writes of an end");
            Ok(())
        };
        self.note("every request got exactly one end", result.await);
    }

    /// Says how it went, as the exit code.
    pub(crate) fn verdict(&self) -> ExitCode {
        if self.failed == 0 {
            println!(
                "\nAll {} checks are ok. Nothing is left running.",
                self.made
            );
            ExitCode::SUCCESS
        } else {
            println!("\n{} of {} checks FAILED.", self.failed, self.made);
            ExitCode::FAILURE
        }
    }
}

fn file_name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn succeeded(row: &Row) -> Result<()> {
    let phase = row.status["phase"].as_str().unwrap_or("none");
    if phase != "Succeeded" {
        bail!(
            "its phase is {phase}, {}: {}",
            reason(&row.status),
            message(&row.status)
        );
    }
    Ok(())
}

fn signature(stack: &Stack, row: &Row, file: &Path) -> Result<()> {
    succeeded(row)?;
    let signature = row.status["result"]["signature"]
        .as_str()
        .context("no signature")?;
    let folder = tempfile::tempdir()?;
    let [encoded, decoded] = ["signature.b64", "signature"].map(|name| folder.path().join(name));
    std::fs::write(&encoded, format!("{signature}\n"))?;
    let (encoded, decoded) = (encoded.display().to_string(), decoded.display().to_string());
    openssl(&["base64", "-d", "-A", "-in", &encoded, "-out", &decoded])?;
    let (key, file) = (
        stack.public_key.display().to_string(),
        file.display().to_string(),
    );
    openssl(&[
        "dgst",
        "-sha256",
        "-verify",
        &key,
        "-signature",
        &decoded,
        &file,
    ])?;
    Ok(())
}

fn copy(stack: &Stack, row: &Row, file: &Path) -> Result<()> {
    succeeded(row)?;
    let result = &row.status["result"];
    let wanted = digest(file)?;
    ensure!(
        result["sha256"] == wanted.as_str(),
        "the result says {}",
        result["sha256"]
    );
    let uri = result["uri"].as_str().context("no uri")?;
    let copy = Path::new(uri.strip_prefix("file://").context("not a file: uri")?);
    ensure!(copy.starts_with(&stack.store), "{uri} is not in the store");
    ensure!(digest(copy)? == wanted, "the copy differs");
    ensure!(
        row.percents.len() >= 3,
        "only these percentages were seen: {:?}",
        row.percents
    );
    Ok(())
}

fn refused(row: &Row, [phase, wanted, part]: [&str; 3]) -> Result<()> {
    let status = &row.status;
    ensure!(status["phase"] == phase, "its phase is {}", status["phase"]);
    ensure!(reason(status) == wanted, "its reason is {}", reason(status));
    ensure!(
        message(status).contains(part),
        "its message is {:?}",
        message(status)
    );
    Ok(())
}
