//! Jobs that write down when they run, and what their notes tell.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;

use crate::process;

/// A service's script: notes its start, then 20 times a second that it lives, and, once a file `go` is
/// beside the services, its end. Its notes come from a child, and another child leaves the process group.
pub const BEATING: &str = r#"
    there="$ISC_SERVICE_DIR/.."
    note() { echo "$1 $ISC_UID $ISC_ATTEMPT $$ $(date +%s%N)" >> "$there/ledger"; }
    note start
    (while :; do note beat; sleep 0.05; done) &
    beating=$!
    setsid sleep 300 &
    while [ ! -e "$there/go" ]; do sleep 0.05; done
    kill $beating
    note end
    printf '{"attempt": %s}' "$ISC_ATTEMPT" > "$ISC_RESULT""#;

/// A service's script: notes its start and its end, sleeps between them for `seconds` of its parameters,
/// and notes when it is told to stop.
pub const SLEEPING: &str = r#"
    note() { echo "$1 $ISC_UID $ISC_ATTEMPT $$ $(date +%s%N)" >> "$ISC_SERVICE_DIR/../ledger"; }
    trap 'note stopped; exit 1' TERM
    note start
    sleep $(tr -dc 0-9. < "$ISC_PARAMS")
    note end"#;

/// One run of such a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The request.
    pub uid: String,
    /// The attempt's number.
    pub attempt: u32,
    /// Its first note, nanoseconds since 1970.
    pub first: u128,
    /// Its last note.
    pub last: u128,
    /// Whether it noted its end.
    pub ended: bool,
}

/// The runs noted so far below `dir`, in the order of their starts.
///
/// # Errors
/// When the ledger is there and cannot be read.
pub fn runs(dir: &Path) -> Result<Vec<Run>> {
    let path = dir.join("ledger");
    if !path.exists() {
        return Ok(vec![]);
    }
    let mut runs = BTreeMap::<u32, Run>::new();
    let text = std::fs::read_to_string(path)?;
    // A job that is killed may leave half a line behind, and one that is stopped while it asks for the time a line
    // without it.
    let is_whole = |line: &&str| line.split(' ').filter(|word| !word.is_empty()).count() == 5;
    for line in text.lines().filter(is_whole) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |index: usize| words[index].parse::<u128>().context(line.to_owned());
        let (attempt, pid, at) = (number(2)?, number(3)?, number(4)?);
        let run = runs.entry(u32::try_from(pid)?).or_insert(Run {
            uid: words[1].to_owned(),
            attempt: u32::try_from(attempt)?,
            first: at,
            last: at,
            ended: false,
        });
        run.last = run.last.max(at);
        run.ended |= words[0] == "end";
    }
    let mut runs: Vec<_> = runs.into_values().collect();
    runs.sort_by_key(|run| run.first);
    Ok(runs)
}

/// Fails when two runs of one request were there at the same time.
///
/// # Errors
/// With the two.
pub fn no_overlap(runs: &[Run]) -> Result<()> {
    for (index, later) in runs.iter().enumerate() {
        let same = runs[..index].iter().filter(|run| run.uid == later.uid);
        for earlier in same {
            ensure!(
                earlier.last < later.first,
                "two at once: {earlier:?} and {later:?}"
            );
        }
    }
    Ok(())
}

/// The warden of a worker: its only child of that name.
///
/// # Errors
/// When it has none.
pub fn warden_of(worker: u32) -> Result<Pid> {
    let wanted = format!("(isc-warden) S {worker} ");
    let entries = std::fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut wardens = pids.filter(|pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(&wanted)
    });
    let first = wardens.next().context("the worker has no warden")?;
    Ok(Pid::from_raw(first))
}

/// Fails while a process of a job of `worker` is alive.
///
/// # Errors
/// With the processes.
pub fn no_job_of(dir: &Path, worker: &str) -> Result<()> {
    let alive = process::within(&dir.join(format!("{worker}-jobs")));
    ensure!(alive.is_empty(), "still alive: {alive:?}");
    Ok(())
}
