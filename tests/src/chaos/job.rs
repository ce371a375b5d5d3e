//! The job of the fault suite, run by workers as a program of its own: it does nothing but what its
//! parameters say, and tells the ledger.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{SigSet, Signal, raise},
    unistd::getppid,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    clock,
    ledger::{self, Claim, Event, Line, Run},
};

/// `EX_TEMPFAIL`: another try may help.
pub const RETRYABLE: i32 = 75;

/// How often a job looks at its gate.
const GATE_PAUSE: Duration = Duration::from_millis(50);

/// What a job is to do: the parameters of its request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// It takes that long.
    pub millis: u64,
    /// Then it waits until a file of that name is beside the ledger; empty is no wait.
    pub gate: String,
    /// It exits with this code then.
    pub code: i32,
    /// It fails, retryably, as long as fewer attempts than this have failed before.
    pub failures: u32,
    /// It does not listen to SIGTERM.
    pub stubborn: bool,
    /// It ends by a signal of its own.
    pub dies: bool,
    /// The bytes of its result, about; none is a small one.
    pub result_bytes: usize,
    /// It tells its progress.
    pub progress: bool,
    /// What no two of its service may touch at the same time; empty is nothing.
    pub lane: String,
    /// Nothing: weight.
    pub ballast: String,
}

/// Does it; returns the exit code.
///
/// # Errors
/// When the surroundings are not those of a job of the suite.
pub fn main() -> Result<i32> {
    let dir = PathBuf::from(env::var_os(ledger::DIR_VAR).context("CHAOS_DIR is not set")?);
    let params: Params = serde_json::from_slice(&fs::read(var("ISC_PARAMS"))?)?;
    if params.stubborn {
        SigSet::from_iter([Signal::SIGTERM]).thread_block()?;
    }
    let run = Run {
        uid: var("ISC_UID"),
        attempt: var("ISC_ATTEMPT").parse()?,
        worker: format!("{}/{}", var(ledger::WORKER_VAR), getppid()),
        pid: std::process::id(),
    };
    let say = |event| {
        let at = clock::nanos(clock::now());
        let run = run.clone();
        ledger::append(&dir, &Line { run, at, event })
    };
    let mut held = Vec::new();
    for (kind, name) in shared(&params, &run) {
        match ledger::claim(&dir, &name, &run)? {
            Claim::Held(lock) => held.push(lock),
            Claim::Taken(other) => say(Event::Overlap { lock: kind, other })?,
        }
    }
    say(Event::Start)?;
    let code = work(&dir, &params, &run)?;
    say(Event::End { code })?;
    if params.dies {
        raise(Signal::SIGKILL)?;
    }
    Ok(code)
}

/// What no two jobs may have at the same time.
fn shared(params: &Params, run: &Run) -> Vec<(String, String)> {
    let mut locks = vec![("uid".to_owned(), run.uid.clone())];
    let key = var("ISC_IDEMPOTENCY_KEY");
    if !key.is_empty() {
        let scope = [var("ISC_CLUSTER"), var("ISC_NAMESPACE"), var("ISC_SERVICE")].join(" ");
        locks.push((format!("key {key}"), format!("key {scope} {key}")));
    }
    if !params.lane.is_empty() {
        locks.push((
            format!("lane {}", params.lane),
            format!("lane {}", params.lane),
        ));
    }
    locks
}

fn work(dir: &Path, params: &Params, run: &Run) -> Result<i32> {
    if params.progress {
        let mut progress = fs::OpenOptions::new()
            .write(true)
            .open(var("ISC_PROGRESS"))?;
        for percent in [25, 50, 75] {
            std::thread::sleep(Duration::from_millis(params.millis / 4));
            writeln!(progress, "{{\"percent\": {percent}}}")?;
        }
        std::thread::sleep(Duration::from_millis(params.millis / 4));
    } else {
        std::thread::sleep(Duration::from_millis(params.millis));
    }
    while !params.gate.is_empty() && !dir.join(&params.gate).exists() {
        std::thread::sleep(GATE_PAUSE);
    }
    let failed: u32 = var("ISC_FAILED").parse()?;
    if failed < params.failures {
        return Ok(RETRYABLE);
    }
    let result = json!({
        "uid": run.uid,
        "attempt": run.attempt,
        "weight": "x".repeat(params.result_bytes),
    });
    fs::write(Path::new(&var("ISC_RESULT")), serde_json::to_vec(&result)?)?;
    Ok(params.code)
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
