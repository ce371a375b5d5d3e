//! The lines between worker and warden. Every order is answered by one line, in order.

use std::time::Duration;

/// A line is never longer; a longer one is not ours.
pub(super) const LINE_MAX: usize = 1024;

/// A process group, never that of the kernel's special meanings (0: one's own, 1: everybody).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId(i32);

/// What the worker tells the warden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The lease ends then, on the clock of [`isc_runtime::clock::now`].
    Until(Duration),
    /// Kill this group at the lease's end. `mark` is the name of the job's directory.
    Add { group: GroupId, mark: String },
    /// Its processes have ended; its leader is not reaped yet.
    Remove { group: GroupId },
    /// Work begins in the worker's own process: kill the worker when the lease ends before [`Order::Release`].
    Hold,
    /// It has ended.
    Release,
}

/// What the warden answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It listens; sent once, at the start.
    Ready,
    /// Done.
    Ok,
    /// Not taken, for the lease has ended.
    Late,
    /// Removed, and it had been killed at the lease's end.
    Killed,
}

// === impl GroupId ===

impl GroupId {
    /// `None` for a number that cannot be a group of a job.
    pub(crate) fn new(id: i32) -> Option<Self> {
        (id > 1).then_some(Self(id))
    }

    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

// === impl Order ===

impl Order {
    pub(super) fn to_line(&self) -> String {
        match self {
            Self::Until(end) => {
                let end = u64::try_from(end.as_nanos()).unwrap_or(u64::MAX);
                format!("until {end}\n")
            }
            Self::Add { group, mark } => format!("add {} {mark}\n", group.0),
            Self::Remove { group } => format!("remove {}\n", group.0),
            Self::Hold => "hold\n".into(),
            Self::Release => "release\n".into(),
        }
    }

    /// `None` for a line that is no order.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let group = |text: &str| GroupId::new(text.parse().ok()?);
        Some(match word {
            "until" => Self::Until(Duration::from_nanos(rest.parse().ok()?)),
            "add" => {
                let (id, mark) = rest.split_once(' ')?;
                let (group, mark) = (group(id)?, mark.to_owned());
                Self::Add { group, mark }
            }
            "remove" => Self::Remove {
                group: group(rest)?,
            },
            "hold" => Self::Hold,
            "release" => Self::Release,
            _ => return None,
        })
    }
}

// === impl Answer ===

impl Answer {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Killed => "killed",
        }
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let all = [Self::Ready, Self::Ok, Self::Late, Self::Killed];
        all.into_iter().find(|answer| answer.as_str() == line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let group = GroupId::new(4711).unwrap();
        let orders = [
            Order::Until(Duration::from_nanos(123_456_789_012)),
            Order::Add {
                group,
                mark: "isc-job-aB3".into(),
            },
            Order::Remove { group },
            Order::Hold,
            Order::Release,
        ];
        for order in orders {
            let line = order.to_line();
            assert_eq!(Order::parse(line.trim_end()), Some(order), "{line}");
        }
    }

    #[test]
    fn nobodys_group_can_be_meant() {
        for line in [
            "add 0 x",
            "add 1 x",
            "add -1 x",
            "add 99999999999 x",
            "add 7",
            "remove 0",
            "until soon",
            "quit",
            "",
        ] {
            assert_eq!(Order::parse(line), None, "{line}");
        }
    }
}
