//! `isc-dev test`: the two servers around one command.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use isc_tests::process;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::ChildStdout,
    time::timeout,
};

use crate::{failures::Failures, stack::Servers, steps::Steps};

/// As many tests as may be in flight; most of them wait most of the time.
const TEST_THREADS: &str = "4";
/// How long the end of what a command prints is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    child.process_group(0).stdout(Stdio::piped());
    let mut child = tokio::process::Command::from(child)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .context("it has no id")?;
    let _group = Group(Pid::from_raw(pid));
    let said = child.stdout.take().context("it has no output")?;
    let said = tokio::spawn(pass_on(BufReader::new(said)));
    let status = child.wait().await?;
    // What outlives the command may hold its output open.
    if let Ok(failures) = timeout(LAST_WORDS, said).await
        && !status.success()
    {
        print!("{}", failures??.told_again());
    }
    Ok(status)
}

/// Prints what the command prints; the first failure of a long run would be far up.
async fn pass_on(mut said: BufReader<ChildStdout>) -> Result<Failures> {
    let (mut failures, mut line) = (Failures::default(), Vec::new());
    while said.read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        failures.read(text.trim_end());
        line.clear();
    }
    Ok(failures)
}
