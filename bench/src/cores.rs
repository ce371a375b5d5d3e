//! Which of the machine's cores are whose.

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// This thread.
const SELF: Pid = Pid::from_raw(0);

/// Half of the cores for kcp, which in life has machines of its own, and half for all else: the client, RabbitMQ,
/// watcher and workers. Without that, whatever they use would be missing from the limit that is measured, and the
/// least use of a processor would look like a slow API server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    kcp: CpuSet,
}

// === impl Cores ===

impl Cores {
    /// All for everybody.
    pub(crate) fn together() -> Result<Self> {
        Ok(Self {
            kcp: sched_getaffinity(SELF)?,
        })
    }

    /// Shares them out; this process, and what it starts from now on, goes to its half.
    ///
    /// # Errors
    /// When there is only one core.
    pub(crate) fn apart() -> Result<Self> {
        let mine = sched_getaffinity(SELF)?;
        let all = (0..CpuSet::count()).filter(|core| mine.is_set(*core) == Ok(true));
        let all: Vec<usize> = all.collect();
        ensure!(
            all.len() > 1,
            "kcp is to have a core of its own, and there is only one: say --together"
        );
        let (kcp, rest) = all.split_at(all.len() / 2);
        sched_setaffinity(SELF, &set(rest)?).context("cannot stay on half of the cores")?;
        Ok(Self { kcp: set(kcp)? })
    }

    /// Starts something on kcp's cores.
    pub(crate) fn start_kcp<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        // A process inherits the cores of the thread that starts it, and ends with that thread: so it is this one.
        let mine = sched_getaffinity(SELF)?;
        sched_setaffinity(SELF, &self.kcp)?;
        let started = start();
        sched_setaffinity(SELF, &mine)?;
        started
    }
}

fn set(cores: &[usize]) -> Result<CpuSet> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    Ok(set)
}
