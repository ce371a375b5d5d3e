//! The warden: a small process beside the worker that kills its jobs when the worker cannot.
//!
//! It is told of every renewal of the lease over a socket (its standard input). When the lease ends or
//! the socket closes, it kills every process group it was told of with SIGKILL, whatever state the
//! worker is in. It lives in a session of its own, so that what ends the worker does not end it first.
//!
//! | module | owns | runs in |
//! |---|---|---|
//! | `words` | the lines between the two | both |
//! | `ward` | what the warden knows and decides, pure | warden |
//! | `process` | the warden's process | warden |
//! | `shim` | the first program of every job: waits for the warden's word, then becomes the job | job |
//! | `strays` | processes that left their job's group | both |
//! | `handle` | what the worker's parts ask of the warden | worker |
//! | `holds` | how many jobs in the worker's own process one hold stands for, pure | worker |
//! | `keeper` | starts the warden, talks to it, starts another when it is lost | worker |

mod handle;
mod holds;
mod keeper;
mod process;
mod shim;
pub(crate) mod strays;
mod ward;
mod words;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

pub(crate) use handle::{Refused, Warden};
pub(crate) use keeper::pair;
pub(crate) use words::GroupId;

/// First words of the command line that make this program a helper of a worker.
const WARDEN: &str = "warden";
pub(crate) const SHIM: &str = "shim";

/// What a helper exits with when it cannot do its work.
const UNABLE: u8 = 127;

/// Call this first in `main`, before a runtime or a thread is started.
///
/// A worker starts its own program again as its warden and at the start of every job. In those processes
/// this does the helper's work and returns what to exit with; in all others it returns `None` at once.
#[must_use]
pub fn helper() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let first = words.next()?;
    if first == WARDEN {
        return Some(match process::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => unable(&format!("the warden is started by a worker: {error}")),
        });
    }
    if first == SHIM {
        let rest: Vec<OsString> = words.collect();
        return Some(shim::run(&rest));
    }
    None
}

fn unable(message: &str) -> ExitCode {
    eprintln!("isc-worker: {message}");
    ExitCode::from(UNABLE)
}

/// This very program, even when its file was replaced meanwhile.
#[cfg(not(test))]
pub(crate) fn program() -> PathBuf {
    "/proc/self/exe".into()
}

/// The worker's program, which lies above that of its unit tests.
#[cfg(test)]
pub(crate) fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("a test is a program");
    let path = tests.ancestors().nth(2).expect("target/<profile>/deps");
    let path = path.join("isc-worker");
    assert!(path.is_file(), "build it first: cargo build -p isc-worker");
    path
}
