//! One process that we started: its log, its end. Nothing else is ever signalled.
//!
//! A process gets its own group, is killed with the thread that started it (so it must be started from
//! a thread that lives as long as it is needed), and is killed when its handle is dropped.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::{
    usage::{Usage, usage},
    wait,
};

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// How messages call it; also the stem of the log file.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment, on top of `PATH` and a UTF-8 locale; nothing else is inherited.
    pub env: Vec<(String, OsString)>,
    /// Its folder: current directory, `HOME`, and the place of the log.
    pub dir: PathBuf,
}

/// A running (or ended) process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

// === impl Launch ===

impl Launch {
    /// A launch without arguments.
    #[must_use]
    pub fn new(name: &str, program: &Path, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            dir: dir.to_owned(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The command, ready but for its output.
    fn command(&self) -> Command {
        // setpriv (util-linux) asks the kernel to kill the process when the starting thread is gone.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(&self.args);
        command
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.dir);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Starts it; its output goes to `<dir>/<name>.log`, appended.
    ///
    /// # Errors
    /// When program, folder or `setpriv` is missing.
    pub fn start(&self) -> Result<Process> {
        let log = self.dir.join(format!("{}.log", self.name));
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let child = self
            .command()
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn();
        let child = child.with_context(|| {
            format!(
                "cannot start {} through setpriv (package util-linux)",
                self.program.display()
            )
        })?;
        Ok(Process {
            name: self.name.clone(),
            child,
            log,
        })
    }
}

// === impl Process ===

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The file with its output.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log, with its name on top.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<_> = log.lines().collect();
        let from = all.len().saturating_sub(lines);
        format!(
            "--- {} ({})\n{}\n",
            self.name,
            self.log.display(),
            all[from..].join("\n")
        )
    }

    /// Fails, ending a wait, when the process has ended.
    ///
    /// # Errors
    /// With the end of its log.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(wait::fatal(format!(
                "{} ended with {status}\n{}",
                self.name,
                self.tail(30)
            ))),
            None => Ok(()),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal to the process alone.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            bail!("{} has ended already", self.name);
        }
        kill(pid_of(&self.child), signal).with_context(|| format!("signal to {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, limit, async || {
            self.child.try_wait()?.context("it still runs")
        })
        .await
    }

    /// SIGTERM, then the wait for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.ended(limit).await
    }

    /// Kills it and whatever is left in its group.
    pub fn kill(&mut self) {
        // An error says that nothing of the group is left.
        let _gone = killpg(pid_of(&self.child), Signal::SIGKILL);
        let _status = self.child.wait();
    }

    /// Memory and processor time now.
    ///
    /// # Errors
    /// When it has ended.
    pub fn usage(&self) -> Result<Usage> {
        usage(self.pid()).with_context(|| format!("{} has ended", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Every process whose `HOME` is inside of `dir`: what was started here, and jobs, for a job's home is its
/// working directory.
#[must_use]
pub fn within(dir: &Path) -> Vec<Pid> {
    let needle = format!("HOME={}/", dir.display());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
    let ours = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|b| *b == 0)
            .any(|variable| variable.starts_with(needle.as_bytes()))
    };
    pids.filter(ours).map(Pid::from_raw).collect()
}

/// Kills every process [`within`] a folder: jobs that outlived their worker.
pub fn sweep(dir: &Path) {
    for pid in within(dir) {
        let _gone = kill(pid, Signal::SIGKILL);
    }
}
