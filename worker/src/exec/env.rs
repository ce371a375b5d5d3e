//! The program's environment and command line.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use isc_runtime::services::Exec;
use tokio::process::Command;

use super::dir::JobDir;
use crate::{executor::Job, warden};

/// The command, ready to be spawned by way of the shim: nothing of the worker's environment but `PATH`
/// and what the service names.
pub(super) fn command((exec, home): (&Exec, &Path), job: &Job, dir: &JobDir) -> Command {
    let mut words = exec.command.iter();
    let mut command = Command::new(warden::program());
    command
        .arg0("isc-worker")
        .arg(warden::SHIM)
        .arg(program(home, words.next().map_or("", String::as_str)))
        .args(words)
        .current_dir(dir.work())
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", dir.work())
        .env("TMPDIR", dir.work())
        .env("LANG", "C.UTF-8")
        .envs(&exec.env)
        .envs(exec.inherit_env.iter().filter_map(inherited))
        .envs(contract(home, job, dir))
        .envs(trace(job))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

fn inherited(name: &String) -> Option<(&String, OsString)> {
    std::env::var_os(name).map(|value| (name, value))
}

/// A relative program with a slash starts at the service's file, not at the working directory.
fn program(home: &Path, word: &str) -> PathBuf {
    if word.contains('/') {
        home.join(word)
    } else {
        word.into()
    }
}

/// The `ISC_*` variables. A value with a NUL byte cannot be passed on and could only come from a
/// faulty watcher, since no name in Kubernetes has one; it is cut there.
fn contract(
    home: &Path,
    job: &Job,
    dir: &JobDir,
) -> impl Iterator<Item = (&'static str, OsString)> {
    let seconds = job.limit().as_secs_f64().ceil();
    [
        ("ISC_PARAMS", dir.params().into_os_string()),
        ("ISC_RESULT", dir.result().into_os_string()),
        ("ISC_RESULT_MAX", job.result_max.to_string().into()),
        ("ISC_PROGRESS", dir.progress().into_os_string()),
        ("ISC_SERVICE", job.service.clone().into()),
        ("ISC_SERVICE_DIR", home.into()),
        ("ISC_UID", job.uid.clone().into()),
        ("ISC_ATTEMPT", job.attempt.to_string().into()),
        ("ISC_FAILED", job.failed.to_string().into()),
        ("ISC_CLUSTER", job.cluster.clone().into()),
        ("ISC_NAMESPACE", job.namespace.clone().into()),
        ("ISC_NAME", job.name.clone().into()),
        ("ISC_REQUESTER", job.requester.clone().into()),
        ("ISC_IDEMPOTENCY_KEY", job.idempotency_key.clone().into()),
        ("ISC_TIMEOUT_SECONDS", format!("{seconds:.0}").into()),
    ]
    .into_iter()
    .map(|(name, value): (_, OsString)| (name, until_nul(value)))
}

/// The names that OpenTelemetry gives them.
fn trace(job: &Job) -> impl Iterator<Item = (&'static str, String)> {
    let trace = job.trace.iter();
    trace
        .flat_map(|trace| {
            let state = trace.state.to_string();
            [("TRACEPARENT", trace.traceparent()), ("TRACESTATE", state)]
        })
        .filter(|(_, value)| !value.is_empty())
}

fn until_nul(value: OsString) -> OsString {
    match value.as_bytes().iter().position(|byte| *byte == 0) {
        Some(nul) => std::ffi::OsStr::from_bytes(&value.as_bytes()[..nul]).to_owned(),
        None => value,
    }
}
