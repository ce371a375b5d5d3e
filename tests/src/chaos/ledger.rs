//! What jobs say about themselves: one file per run, one line per event, appended in one write each; and the
//! locks by which the kernel tells whether two jobs of one request, or of one key, ran at the same time.
//!
//! A job holds a lock (flock) on the file of its request for as long as it lives. The kernel lets go of it
//! when the process is gone, however it ended, and never earlier: a job that finds the lock taken has proof
//! of another one that runs.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The variable that tells a job where ledger and locks are.
pub const DIR_VAR: &str = "CHAOS_DIR";
/// The variable that tells a job which worker runs it.
pub const WORKER_VAR: &str = "CHAOS_WORKER";

/// A job, as its lines name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The request's UID.
    pub uid: String,
    /// The attempt.
    pub attempt: u32,
    /// The worker's name.
    pub worker: String,
    /// The job's process.
    pub pid: u32,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Whose.
    #[serde(flatten)]
    pub run: Run,
    /// Nanoseconds on the suite's clock.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a job can say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// It begins.
    Start,
    /// It is about to exit.
    End {
        /// With this code.
        code: i32,
    },
    /// It found another one alive.
    Overlap {
        /// What they share: `uid`, or the key.
        lock: String,
        /// Who held it, as far as it had said so.
        other: String,
    },
}

/// A lock that this process holds until it ends.
#[derive(Debug)]
pub enum Claim {
    /// Ours now.
    Held(File),
    /// Somebody else's: what the holder wrote into it.
    Taken(String),
}

/// The ledger's file.
#[must_use]
pub fn file(dir: &Path) -> PathBuf {
    dir.join("ledger")
}

/// The folder of the locks.
#[must_use]
pub fn locks(dir: &Path) -> PathBuf {
    dir.join("locks")
}

/// Appends a line.
///
/// # Errors
/// What the file system says.
pub fn append(dir: &Path, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut ledger = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file(dir))?;
    // One write: lines of several processes never mix.
    ledger.write_all(text.as_bytes())
}

/// Takes a lock, or says who has it. `name` may hold anything.
///
/// # Errors
/// What the file system says.
pub fn claim(dir: &Path, name: &str, run: &Run) -> io::Result<Claim> {
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let path = locks(dir).join(safe);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let mut lock = options.open(&path)?;
    match lock.try_lock() {
        Ok(()) => {
            lock.set_len(0)?;
            lock.write_all(serde_json::to_string(run)?.as_bytes())?;
            Ok(Claim::Held(lock))
        }
        Err(TryLockError::WouldBlock) => Ok(Claim::Taken(std::fs::read_to_string(path)?)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// All lines so far. A last line that is not complete yet is left out.
///
/// # Errors
/// When a complete line cannot be read: nobody but jobs writes there.
pub fn read(dir: &Path) -> anyhow::Result<Vec<Line>> {
    let text = match std::fs::read_to_string(file(dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let parse = |line: &str| {
        serde_json::from_str(line)
            .map_err(|error| anyhow::anyhow!("the ledger has a bad line, {error}: {line}"))
    };
    complete.lines().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pid: u32) -> Run {
        Run {
            uid: "u1".into(),
            attempt: 2,
            worker: "w1".into(),
            pid,
        }
    }

    #[test]
    fn what_is_appended_is_read_again_and_an_incomplete_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        let events = [
            Event::Start,
            Event::Overlap {
                lock: "uid".into(),
                other: "w2".into(),
            },
            Event::End { code: 75 },
        ];
        let lines: Vec<_> = events
            .into_iter()
            .map(|event| Line {
                run: run(7),
                at: 5,
                event,
            })
            .collect();
        for line in &lines {
            append(dir.path(), line).unwrap();
        }
        let mut ledger = OpenOptions::new()
            .append(true)
            .open(file(dir.path()))
            .unwrap();
        ledger.write_all(br#"{"uid":"u2","#).unwrap();
        assert_eq!(read(dir.path()).unwrap(), lines);
    }

    #[test]
    fn a_lock_is_held_until_its_holder_is_gone_and_names_it_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(locks(dir.path())).unwrap();
        let first = claim(dir.path(), "key a/b", &run(7)).unwrap();
        assert!(matches!(first, Claim::Held(_)));
        match claim(dir.path(), "key a/b", &run(8)).unwrap() {
            Claim::Taken(other) => assert!(other.contains("\"pid\":7"), "{other}"),
            Claim::Held(_) => panic!("two have the lock"),
        }
        assert!(matches!(
            claim(dir.path(), "key a/c", &run(8)).unwrap(),
            Claim::Held(_)
        ));
        drop(first);
        assert!(matches!(
            claim(dir.path(), "key a/b", &run(8)).unwrap(),
            Claim::Held(_)
        ));
    }
}
