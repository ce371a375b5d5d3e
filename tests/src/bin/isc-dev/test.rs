//! `isc-dev test`: the two servers around one command.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result};
use isc_tests::process;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{stack::Servers, steps::Steps};

/// As many tests as may be in flight; most of them wait most of the time.
const TEST_THREADS: &str = "4";

pub(crate) async fn run(command: &[String]) -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("isc-dev-").tempdir()?;
    let dir = folder.path().canonicalize()?;
    let mut steps = Steps::new();
    let mut servers = steps
        .step("kcp and RabbitMQ start", Servers::start(&dir))
        .await?;
    let status = tokio::select! {
        status = run_command(command, servers.environment().to_vars()) => status?,
        error = servers.watch() => return Err(error),
    };
    drop(servers);
    process::sweep(&dir);
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
    ))
}

/// Ends a process group when it is dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // An error says that nobody of the group is left.
        let _gone = killpg(self.0, Signal::SIGTERM);
    }
}

/// Runs it in a process group of its own, so that all of it can be ended.
async fn run_command(command: &[String], vars: Vec<(&'static str, String)>) -> Result<ExitStatus> {
    let (program, args) = command.split_first().context("a command is missing")?;
    let mut child = Command::new("setpriv");
    child
        .args(["--pdeathsig", "TERM", "--", program])
        .args(args)
        .envs(vars);
    // Panics keep their backtraces; errors tell enough without.
    let defaults = [
        ("RUST_TEST_THREADS", TEST_THREADS),
        ("RUST_LIB_BACKTRACE", "0"),
    ];
    child.envs(
        defaults
            .into_iter()
            .filter(|(name, _)| std::env::var_os(name).is_none()),
    );
    child.process_group(0);
    let mut child = tokio::process::Command::from(child)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .context("it has no id")?;
    let _group = Group(Pid::from_raw(pid));
    Ok(child.wait().await?)
}
