//! From an exit status and a result file to the end of a job.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::{fs::OpenOptionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::ExitStatus,
};

use isc_proto::v1::FailureClass;
use isc_runtime::services::{Exec, ExitClass};
use nix::{fcntl::OFlag, sys::signal::Signal};

use crate::executor::End;

/// The end that a status other than 0 means.
pub(super) fn failure(exec: &Exec, status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => {
            let class = class(exec.exit_class(code));
            End::failed(class, "JobFailed", format!("exit code {code}"))
        }
        // Nobody here sent it. Mostly memory ran out, and another worker may have more.
        (None, Some(number)) => {
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            let message = format!("killed by signal {number} ({name})");
            End::failed(FailureClass::Retryable, "JobKilled", message)
        }
        (None, None) => End::permanent("JobFailed", "unknown exit status"),
    }
}

fn class(class: ExitClass) -> FailureClass {
    match class {
        ExitClass::Retryable => FailureClass::Retryable,
        ExitClass::Permanent => FailureClass::Permanent,
        ExitClass::Invalid => FailureClass::Invalid,
    }
}

/// The end of a job that exited with 0: what is in its result file decides. Blocks, but never for long
/// and never reads more than `max` and one byte, whatever the job put there.
pub(super) fn success(path: &Path, max: usize) -> End {
    let bytes = match read(path, max) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return End::permanent(
                "InvalidResult",
                format!("the result is unreadable: {error}"),
            );
        }
    };
    if bytes.len() > max {
        return End::result_too_large(max);
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return End::permanent("InvalidResult", "the result is not UTF-8");
    };
    let text = text.trim();
    if text.is_empty() {
        return End::Succeeded {
            result_json: String::new(),
        };
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => End::Succeeded {
            result_json: text.to_owned(),
        },
        // The error names a place, and could quote a short piece of the result; only the place goes out.
        Err(error) => End::permanent(
            "InvalidResult",
            format!(
                "the result is not a JSON object (line {}, column {})",
                error.line(),
                error.column()
            ),
        ),
    }
}

fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK the open of a FIFO would wait for a writer.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
