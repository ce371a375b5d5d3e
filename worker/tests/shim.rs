//! The shim as a process by itself; these tests play the worker.

use std::{
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command},
    time::Duration,
};

use anyhow::Result;

const SOON: Duration = Duration::from_secs(5);
const PROGRAM: &str = env!("CARGO_BIN_EXE_isc-worker");

/// The shim with a command, and the worker's end of its gate.
fn shim(words: &[&str]) -> Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(SOON))?;
    let mut command = Command::new(PROGRAM);
    command.arg("shim").args(words).stdin(OwnedFd::from(theirs));
    Ok((command.spawn()?, ours))
}

#[test]
fn a_shim_becomes_the_program_when_it_may_and_not_before() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("ran");
    let script = format!("readlink /proc/self/fd/0 > {}", file.display());
    let (mut child, mut gate) = shim(&["/bin/sh", "-c", &script])?;
    gate.set_read_timeout(Some(Duration::from_millis(300)))?;
    assert!(gate.read(&mut [0]).is_err(), "it waits");
    assert!(!file.exists());
    gate.set_read_timeout(Some(SOON))?;
    gate.write_all(b"!")?;
    let mut trouble = String::new();
    gate.read_to_string(&mut trouble)?;
    assert_eq!(trouble, "", "closed at the exec, without a word");
    assert!(child.wait()?.success());
    let stdin = std::fs::read_to_string(&file)?;
    assert_eq!(stdin, "/dev/null\n");
    Ok(())
}

#[test]
fn a_shim_whose_worker_is_gone_runs_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("ran");
    let (mut child, gate) = shim(&["touch", &file.display().to_string()])?;
    drop(gate);
    assert!(!child.wait()?.success());
    assert!(!file.exists());
    Ok(())
}

#[test]
fn a_shim_tells_why_a_program_cannot_be_started() -> Result<()> {
    let plain = tempfile::NamedTempFile::new()?;
    let plain = plain.path().display().to_string();
    for (program, number) in [("isc-no-such-program", "2"), (plain.as_str(), "13")] {
        let (mut child, mut gate) = shim(&[program])?;
        gate.write_all(b"!")?;
        let mut trouble = String::new();
        gate.read_to_string(&mut trouble)?;
        assert_eq!(trouble, number, "{program}");
        assert!(!child.wait()?.success());
    }
    Ok(())
}
