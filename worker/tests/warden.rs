//! The warden as a process by itself; these tests play the worker.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    time::{ClockId, clock_gettime},
    unistd::{Pid, getsid},
};

const SOON: Duration = Duration::from_secs(5);
const PROGRAM: &str = env!("CARGO_BIN_EXE_isc-worker");

/// A warden and the worker's end of its socket.
struct Warden {
    child: Child,
    to: UnixStream,
    from: BufReader<UnixStream>,
}

// === impl Warden ===

impl Warden {
    fn start() -> Result<Self> {
        Self::start_by(Command::new(PROGRAM).arg("warden"))
    }

    fn start_by(command: &mut Command) -> Result<Self> {
        let (to, theirs) = UnixStream::pair()?;
        to.set_read_timeout(Some(SOON))?;
        let child = command.stdin(OwnedFd::from(theirs)).spawn()?;
        // The command keeps a copy of their end.
        command.stdin(Stdio::null());
        let from = BufReader::new(to.try_clone()?);
        let mut warden = Self { child, to, from };
        ensure!(warden.hear()? == "ready", "it is not ready");
        Ok(warden)
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.from.read_line(&mut line);
        read.context("the warden does not answer")?;
        Ok(line.trim_end().to_owned())
    }

    fn ask(&mut self, order: &str) -> Result<String> {
        writeln!(self.to, "{order}")?;
        self.hear()
    }

    fn lease(&mut self, length: Duration) -> Result<()> {
        let end = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?) + length;
        ensure!(self.ask(&format!("until {}", end.as_nanos()))? == "ok");
        Ok(())
    }

    fn add(&mut self, job: &Job) -> Result<String> {
        self.ask(&format!("add {} none", job.0.id()))
    }

    /// Closes the socket and waits for the warden's end.
    fn leave(self) -> Result<()> {
        let Self {
            mut child,
            to,
            from,
        } = self;
        drop((to, from));
        wait_until("the warden ends", || Ok(child.try_wait()?.is_some()))
    }
}

/// A process group that runs until it is killed.
struct Job(Child);

// === impl Job ===

impl Job {
    fn start() -> Result<Self> {
        let script = "sleep 300 & wait";
        let mut command = Command::new("/bin/sh");
        let command = command.args(["-c", script]).process_group(0);
        Ok(Self(command.spawn()?))
    }

    fn is_alive(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    fn dies(&mut self) -> Result<()> {
        wait_until("the job dies", || Ok(!self.is_alive()?))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let group = pid(self.0.id());
        let _gone = nix::sys::signal::killpg(group, Signal::SIGKILL);
        let _status = self.0.wait();
    }
}

/// The open files of a process: number and what it is.
fn files(process: &str) -> Result<Vec<(OsString, PathBuf)>> {
    let listing = std::fs::read_dir(format!("/proc/{process}/fd"))?;
    let file = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        Some((entry.file_name(), target))
    };
    Ok(listing.flatten().filter_map(file).collect())
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap_or(i32::MAX))
}

fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while !condition()? {
        ensure!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[test]
fn a_job_dies_when_the_lease_ends_without_a_word_and_not_before() -> Result<()> {
    let (mut warden, mut job) = (Warden::start()?, Job::start()?);
    let began = Instant::now();
    warden.lease(Duration::from_millis(600))?;
    assert_eq!(warden.add(&job)?, "ok");
    job.dies()?;
    assert!(began.elapsed() >= Duration::from_millis(600), "too early");
    assert!(began.elapsed() < Duration::from_millis(1500), "too late");
    let remove = format!("remove {}", job.0.id());
    assert_eq!(warden.ask(&remove)?, "killed");
    warden.leave()?;
    Ok(())
}

#[test]
fn a_renewed_lease_keeps_a_job_alive() -> Result<()> {
    let (mut warden, mut job) = (Warden::start()?, Job::start()?);
    let began = Instant::now();
    warden.lease(Duration::from_millis(500))?;
    assert_eq!(warden.add(&job)?, "ok");
    warden.lease(Duration::from_millis(1000))?;
    job.dies()?;
    assert!(began.elapsed() >= Duration::from_millis(1000), "too early");
    warden.leave()?;
    Ok(())
}

#[test]
fn a_closed_socket_kills_what_is_watched_and_nothing_else() -> Result<()> {
    let (mut watched, mut removed) = (Job::start()?, Job::start()?);
    let mut warden = Warden::start()?;
    warden.lease(Duration::from_secs(60))?;
    assert_eq!(warden.add(&watched)?, "ok");
    assert_eq!(warden.add(&removed)?, "ok");
    assert_eq!(warden.ask(&format!("remove {}", removed.0.id()))?, "ok");
    warden.leave()?;
    watched.dies()?;
    assert!(removed.is_alive()?);
    Ok(())
}

#[test]
fn nothing_is_watched_without_a_lease() -> Result<()> {
    let (mut warden, job) = (Warden::start()?, Job::start()?);
    assert_eq!(warden.add(&job)?, "late");
    warden.leave()?;
    Ok(())
}

#[test]
fn what_ends_a_worker_does_not_reach_its_warden() -> Result<()> {
    let mut warden = Warden::start()?;
    let own = pid(warden.child.id());
    assert_eq!(getsid(Some(own))?, own, "it leads its own session");
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        kill(own, signal)?;
    }
    warden.lease(Duration::from_secs(1))?;
    // Standard streams, the socket again, the timer, a hold on the worker, and what this test itself
    // was given by whoever started it.
    let given = files("self")?;
    let mut own = files(&own.to_string())?;
    own.retain(|file| !given.contains(file));
    assert!(own.len() <= 6, "it holds more than it needs: {own:?}");
    warden.leave()?;
    Ok(())
}

#[test]
fn a_line_that_is_no_order_ends_the_warden_and_with_it_the_jobs() -> Result<()> {
    let (mut warden, mut job) = (Warden::start()?, Job::start()?);
    warden.lease(Duration::from_secs(60))?;
    assert_eq!(warden.add(&job)?, "ok");
    writeln!(warden.to, "remove all")?;
    job.dies()?;
    warden.leave()?;
    Ok(())
}

#[test]
fn a_worker_that_does_not_end_its_own_work_in_time_is_killed() -> Result<()> {
    let script = format!("exec 3<&0; {PROGRAM} warden <&3 3<&- & wait; exit 3");
    let mut command = Command::new("/bin/sh");
    let mut warden = Warden::start_by(command.args(["-c", &script]))?;
    warden.lease(Duration::from_millis(300))?;
    assert_eq!(warden.ask("hold")?, "ok");
    let mut worker = warden.child;
    wait_until("the worker dies", || Ok(worker.try_wait()?.is_some()))?;
    let status = worker.wait()?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(Signal::SIGKILL as i32), "{status}");
    Ok(())
}

#[test]
fn a_worker_that_ends_its_own_work_in_time_lives() -> Result<()> {
    let script = format!("exec 3<&0; {PROGRAM} warden <&3 3<&- & wait; exit 3");
    let mut command = Command::new("/bin/sh");
    let mut warden = Warden::start_by(command.args(["-c", &script]))?;
    warden.lease(Duration::from_millis(100))?;
    assert_eq!(warden.ask("hold")?, "ok");
    assert_eq!(warden.ask("release")?, "ok");
    std::thread::sleep(Duration::from_millis(600));
    let Warden {
        mut child,
        to,
        from,
    } = warden;
    drop((to, from));
    assert_eq!(child.wait()?.code(), Some(3));
    Ok(())
}
