//! Processes that left their job's process group, found by what their environment still says.
//!
//! Every process of a job inherits `ISC_RESULT`, a path through the job's own directory, and keeps it
//! through `setsid` and any number of forks. One that drops it from its environment is not found.

use std::{fs, os::unix::ffi::OsStrExt as _, path::Path, thread, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A stray may fork while it is looked for.
const PASSES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Kills all processes with one of these marks, until none is found. Blocks for a fifth of a second at
/// the most.
pub(crate) fn kill(marks: &[String]) {
    if marks.is_empty() {
        return;
    }
    for _ in 0..PASSES {
        if !pass(marks) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Whether there was one.
fn pass(marks: &[String]) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found = false;
    for pid in pids.filter_map(Pid::from_raw) {
        if is_marked(pid, marks) {
            found = true;
            // Looked at again with a hold on the process: its number cannot become another's now.
            let hold = pidfd_open(pid, PidfdFlags::empty());
            if let Ok(hold) = hold
                && is_marked(pid, marks)
            {
                // An error says that it has ended by itself.
                let _ended = pidfd_send_signal(hold, Signal::KILL);
            }
        }
    }
    found
}

/// False for a process that is dead, or that belongs to somebody else.
fn is_marked(pid: Pid, marks: &[String]) -> bool {
    let path = format!("/proc/{}/environ", pid.as_raw_nonzero());
    let environment = fs::read(path).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    let result = variables.find_map(|variable| variable.strip_prefix(b"ISC_RESULT="));
    let Some(path) = result.map(|path| Path::new(std::ffi::OsStr::from_bytes(path))) else {
        return false;
    };
    let dir = path.parent().and_then(Path::file_name);
    dir.is_some_and(|dir| marks.iter().any(|mark| dir == mark.as_str()))
}
