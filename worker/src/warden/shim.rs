//! The first program of every job: it waits until the warden knows its group, then becomes the job.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Command, ExitCode, Stdio},
};

use nix::errno::Errno;

use super::{UNABLE, unable};

/// Waits for one byte on the standard input, then becomes the program that `words` name. When the input
/// ends without it, the worker is gone and nothing is started. Says the error's number when the program
/// cannot be started; otherwise the input's other end just sees it close.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let Some((program, rest)) = words.split_first() else {
        return unable("the shim is started by a worker");
    };
    let Ok(mut gate) = gate() else {
        return unable("the shim is started by a worker");
    };
    if gate.read_exact(&mut [0]).is_err() {
        return ExitCode::from(UNABLE);
    }
    let error = Command::new(program).args(rest).stdin(Stdio::null()).exec();
    let number = error.raw_os_error().unwrap_or(Errno::EINVAL as i32);
    // When nobody reads it the job's group is killed anyway.
    let _gone = gate.write_all(number.to_string().as_bytes());
    ExitCode::from(UNABLE)
}

/// A copy of the standard input that the program does not inherit.
fn gate() -> io::Result<UnixStream> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}
