//! `isc-dev up`, `down`, `status`: the stack kept running in the background, under one folder.
//!
//! A supervisor process (`isc-dev supervise`) owns all children, so that they end with it; the folder
//! holds its pid, logs, kubeconfigs and examples, and is removed by `down`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use isc_tests::{
    Process, environment::repository, isc, process, provider::write_kubeconfig, usage, wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{guide, stack::Stack, steps::Steps};

const START_LIMIT: Duration = Duration::from_secs(300);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const LOG: &str = "isc-dev.log";

/// What the supervisor tells others, in `state.json`.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    processes: Vec<Running>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Running {
    name: String,
    pid: u32,
    log: PathBuf,
    admin: Option<std::net::SocketAddr>,
}

/// Ends the supervisor unless the start was completed.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _gone = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            let _status = child.wait();
        }
    }
}

/// Starts the supervisor and shows its steps until everything is ready.
pub(crate) async fn up(dir: &Path) -> Result<ExitCode> {
    if supervisor(dir).is_some() {
        println!("It runs already (`isc-dev status` shows it, `make down` ends it).\n");
        print!("{}", guide::text(dir)?);
        return Ok(ExitCode::SUCCESS);
    }
    process::sweep(dir);
    clear(dir)?;
    let log = std::fs::File::create(dir.join(LOG))?;
    let child = Command::new("setsid")
        .arg(std::env::current_exe()?)
        .args(["--dir".as_ref(), dir.as_os_str(), "supervise".as_ref()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start setsid (package util-linux)")?;
    let mut starting = Starting(Some(child));
    let mut shown = 0;
    wait::until("everything is ready", START_LIMIT, async || {
        let text = std::fs::read_to_string(dir.join(LOG))?;
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        eprint!("{}", text.get(shown..complete).unwrap_or_default());
        shown = shown.max(complete);
        let child = starting.0.as_mut().context("no supervisor")?;
        if let Some(status) = child.try_wait()? {
            return Err(wait::fatal(format!(
                "the set-up ended with {status}; see above"
            )));
        }
        ensure!(
            dir.join("state.json").exists(),
            "see {}",
            dir.join(LOG).display()
        );
        Ok(())
    })
    .await?;
    starting.0 = None;
    print!("\n{}", guide::text(dir)?);
    Ok(ExitCode::SUCCESS)
}

/// What runs in the background: starts everything, keeps it until a signal comes or a part ends.
pub(crate) async fn supervise(dir: &Path) -> Result<ExitCode> {
    std::fs::write(dir.join("pid"), std::process::id().to_string())?;
    let mut steps = Steps::new();
    let mut stack = Stack::start(dir, "isc", &repository().join("services"), &mut steps).await?;
    let env = stack.servers.environment();
    for team in &stack.teams {
        let name = team.member.name();
        let file = dir.join(format!("{name}.kubeconfig"));
        write_kubeconfig(&file, &team.member.kubeconfig(&env, &team.path)?)?;
    }
    guide::write_examples(dir)?;
    let admins = [None, None, Some(stack.watcher.admin)].into_iter();
    let admins: Vec<_> = admins
        .chain(stack.workers.iter().map(|w| Some(w.admin)))
        .collect();
    let running = |(process, admin): (&mut Process, _)| Running {
        name: process.name().to_owned(),
        pid: process.pid(),
        log: process.log_file().to_owned(),
        admin,
    };
    let processes = stack
        .processes()
        .into_iter()
        .zip(admins)
        .map(running)
        .collect();
    // Under its name only when it is complete: whoever sees it, reads it.
    let draft = dir.join("state.json.new");
    std::fs::write(&draft, serde_json::to_string_pretty(&State { processes })?)?;
    std::fs::rename(draft, dir.join("state.json"))?;
    Err(stack.watch().await)
}

/// Ends the supervisor, and with it everything, and removes the folder.
pub(crate) async fn down(dir: &Path) -> Result<ExitCode> {
    if let Some(pid) = supervisor(dir) {
        kill(pid, Signal::SIGTERM).context("cannot end the supervisor")?;
        wait::until("everything has ended", STOP_LIMIT, async || {
            ensure!(supervisor(dir).is_none(), "the supervisor {pid} still runs");
            Ok(())
        })
        .await?;
        println!("Everything has ended.");
    } else {
        println!("Nothing runs.");
    }
    process::sweep(dir);
    clear(dir)?;
    std::fs::remove_dir(dir)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints every process with its health, memory and processor time.
pub(crate) async fn status(dir: &Path) -> Result<ExitCode> {
    let state = std::fs::read_to_string(dir.join("state.json"));
    let (Some(_), Ok(state)) = (supervisor(dir), state) else {
        println!("Nothing runs; `make up` starts it.");
        return Ok(ExitCode::FAILURE);
    };
    let state: State = serde_json::from_str(&state)?;
    println!(
        "{:<10} {:>8} {:>9} {:>8}  {:<10} LOG",
        "PROCESS", "PID", "MEMORY", "CPU", "READY"
    );
    for process in state.processes {
        let ready = match process.admin {
            None => "-".to_owned(),
            Some(admin) => match isc::readiness(admin).await {
                Ok((200, _)) => format!("yes, http://{admin}"),
                Ok((_, why)) => format!("no: {}", why.trim()),
                Err(error) => format!("no: {error:#}"),
            },
        };
        let (name, pid, log) = (process.name, process.pid, process.log.display());
        match usage::usage(pid) {
            Ok(u) => println!(
                "{name:<10} {pid:>8} {:>6.1} MB {:>6.1} s  {ready:<10} {log}",
                u.resident_mb, u.cpu_seconds
            ),
            Err(_) => println!("{name:<10} {pid:>8} has ended, see {log}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The pid of the folder's supervisor, when it runs: a pid alone may belong to somebody else by now.
fn supervisor(dir: &Path) -> Option<Pid> {
    let pid: i32 = std::fs::read_to_string(dir.join("pid"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let ours = line.contains("isc-dev") && line.split('\0').any(|a| Path::new(a) == dir);
    ours.then(|| Pid::from_raw(pid))
}

/// Makes the folder empty. It must be one of ours: it has our log, or nothing, in it.
fn clear(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let empty = std::fs::read_dir(dir)?.next().is_none();
    if !empty && !dir.join(LOG).exists() {
        bail!(
            "{} is not a folder of isc-dev: choose another with --dir",
            dir.display()
        );
    }
    std::fs::remove_dir_all(dir)?;
    Ok(std::fs::create_dir_all(dir)?)
}
