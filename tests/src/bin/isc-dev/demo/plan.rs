//! What the demo asks for, and what it announces as the answer.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    environment::{base64, repository},
    isc,
};
use serde_json::{Value, json};

use crate::stack::{Stack, openssl};

/// What services/sign.sh says about parameters that it cannot use.
pub(crate) const NONSENSE: &str = "params.digest must be";

/// One request of the demo.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Which team asks: 0 or 1.
    pub(crate) team: usize,
    pub(crate) name: &'static str,
    pub(crate) service: &'static str,
    pub(crate) params: Value,
    pub(crate) announced: Announced,
}

/// What must come out.
#[derive(Clone, Debug)]
pub(crate) enum Announced {
    /// A signature of this file.
    Signature(PathBuf),
    /// A copy of this file in the store.
    Copy(PathBuf),
    /// An end without a result: phase, reason, and a part of the message.
    Refused {
        phase: &'static str,
        reason: &'static str,
        message: &'static str,
    },
}

/// The requests of both teams. The same names in both, with different files behind them.
pub(crate) fn jobs(stack: &Stack, dir: &Path) -> Result<Vec<Job>> {
    let here = repository();
    let kcp = stack.servers.kcp.program()?;
    let (watcher, worker) = (isc::program("isc-watcher")?, isc::program("isc-worker")?);
    let mut jobs = vec![
        sign(0, "sign-program", watcher)?,
        sign(1, "sign-program", worker)?,
        sign(
            0,
            "sign-source",
            here.join("proto/proto/isc/v1/workers.proto"),
        )?,
        sign(1, "sign-source", here.join("Cargo.lock"))?,
        // 120 MB: a digest crosses the border, not the file.
        sign(0, "sign-large", kcp)?,
        sign(1, "sign-public-key", stack.public_key.clone())?,
        publish(0, "publish", &here.join("Cargo.lock"))?,
        publish(1, "publish", &notes(dir)?)?,
    ];
    jobs.push(Job {
        team: 1,
        name: "sign-nonsense",
        service: "sign",
        params: json!({"digest": "sha256:of-what?"}),
        announced: Announced::Refused {
            phase: "Failed",
            reason: "JobFailed",
            message: "exit code 65",
        },
    });
    jobs.push(Job {
        team: 0,
        name: "launch",
        service: "rocket",
        params: json!({}),
        announced: Announced::Refused {
            phase: "Rejected",
            reason: "UnknownService",
            message: "rocket",
        },
    });
    Ok(jobs)
}

fn sign(team: usize, name: &'static str, file: PathBuf) -> Result<Job> {
    let digest = digest(&file)?;
    Ok(Job {
        team,
        name,
        service: "sign",
        params: json!({"digest": format!("sha256:{digest}")}),
        announced: Announced::Signature(file),
    })
}

fn publish(team: usize, name: &'static str, file: &Path) -> Result<Job> {
    let file_name = file
        .file_name()
        .and_then(|n| n.to_str())
        .context("a file without a name")?;
    let content = base64(&std::fs::read(file)?);
    Ok(Job {
        team,
        name,
        service: "publish",
        params: json!({"name": file_name, "content": content}),
        announced: Announced::Copy(file.to_owned()),
    })
}

/// A file under the name that the other team uses too.
fn notes(dir: &Path) -> Result<PathBuf> {
    let file = dir.join("Cargo.lock");
    std::fs::copy(repository().join("Cargo.toml"), &file)?;
    Ok(file)
}

/// The SHA-256 digest of a file, in hex.
pub(crate) fn digest(file: &Path) -> Result<String> {
    let line = openssl(&["dgst", "-sha256", "-r", &file.display().to_string()])?;
    let hex = line.split(' ').next().unwrap_or_default();
    ensure!(hex.len() == 64, "openssl printed no digest: {line}");
    Ok(hex.to_owned())
}
