//! A job's process group: the one guard for timeout, cancel, drain, lease end and drop.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Kills the group with SIGKILL when dropped.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

// === impl Group ===

impl Group {
    /// The group that `leader` was started in with its own process id.
    pub(super) fn of(leader: Option<u32>) -> Self {
        let pid = leader.and_then(|pid| i32::try_from(pid).ok());
        // Group 0 would be our own, and 1 (as -1) every process there is.
        Self(pid.filter(|pid| *pid > 1).map(Pid::from_raw))
    }

    pub(super) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // An error says that nobody is left in the group.
        let _nobody = self.0.map(|group| killpg(group, signal));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_our_own_group_nor_everybody_can_be_meant() {
        for pid in [None, Some(0), Some(1), Some(u32::MAX)] {
            assert!(Group::of(pid).0.is_none(), "{pid:?}");
        }
        assert!(Group(Some(Pid::from_raw(i32::MAX))).0.is_some());
    }
}
