//! What the warden knows and when it kills. Pure: time is an argument.

use std::{collections::BTreeMap, time::Duration};

use super::words::{Answer, GroupId, Order};

/// How long after the lease's end the worker may take to stop the work in its own process. It must fit
/// into the time by which the watcher's lease is longer.
const OWN_GRACE: Duration = Duration::from_millis(250);

/// The lease and all that hangs on it. Without a word from the worker the lease has ended.
#[derive(Debug, Default)]
pub(super) struct Ward {
    until: Duration,
    groups: BTreeMap<GroupId, Charge>,
    /// How many jobs run in the worker's own process.
    held: u32,
}

#[derive(Debug)]
struct Charge {
    mark: String,
    killed: bool,
}

/// Whom to kill now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Doomed {
    pub(super) groups: Vec<GroupId>,
    pub(super) marks: Vec<String>,
    pub(super) worker: bool,
}

// === impl Ward ===

impl Ward {
    pub(super) fn take(&mut self, order: Order, now: Duration) -> Answer {
        match order {
            Order::Until(until) => self.until = until,
            Order::Add { .. } | Order::Hold if now >= self.until => return Answer::Late,
            Order::Add { group, mark } => {
                let killed = false;
                self.groups.insert(group, Charge { mark, killed });
            }
            Order::Hold => self.held += 1,
            Order::Release => self.held = self.held.saturating_sub(1),
            Order::Remove { group } => {
                let charge = self.groups.remove(&group);
                if charge.is_some_and(|charge| charge.killed) {
                    return Answer::Killed;
                }
            }
        }
        Answer::Ok
    }

    /// When [`Ward::judge`] will have something to kill, if nothing is renewed.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.groups.values().any(|charge| !charge.killed) {
            return Some(self.until);
        }
        (self.held > 0).then(|| self.until.saturating_add(OWN_GRACE))
    }

    /// Whom the end of the lease kills, each once.
    pub(super) fn judge(&mut self, now: Duration) -> Doomed {
        let mut doomed = Doomed::default();
        if now < self.until {
            return doomed;
        }
        for (group, charge) in self.groups.iter_mut().filter(|(_, charge)| !charge.killed) {
            charge.killed = true;
            doomed.groups.push(*group);
            doomed.marks.push(charge.mark.clone());
        }
        if self.held > 0 && now >= self.until.saturating_add(OWN_GRACE) {
            self.held = 0;
            doomed.worker = true;
        }
        doomed
    }

    /// Whom the end of the socket kills: all that is left.
    pub(super) fn close(mut self) -> Doomed {
        self.until = Duration::ZERO;
        self.judge(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Duration = Duration::from_secs(10);
    const BEFORE: Duration = Duration::from_millis(9_999);

    fn group() -> GroupId {
        GroupId::new(42).unwrap()
    }

    fn add() -> Order {
        Order::Add {
            group: group(),
            mark: "m".into(),
        }
    }

    fn ward() -> Ward {
        let mut ward = Ward::default();
        assert_eq!(ward.take(Order::Until(END), BEFORE), Answer::Ok);
        assert_eq!(ward.take(add(), BEFORE), Answer::Ok);
        ward
    }

    #[test]
    fn a_group_is_killed_when_the_lease_ends_and_not_before() {
        let mut ward = ward();
        assert_eq!(ward.due(), Some(END));
        assert_eq!(ward.judge(BEFORE), Doomed::default());
        assert_eq!(ward.judge(END).groups, [group()]);
        assert_eq!(ward.judge(END), Doomed::default(), "once is enough");
        assert_eq!(ward.due(), None);
        let remove = Order::Remove { group: group() };
        assert_eq!(ward.take(remove, END), Answer::Killed);
    }

    #[test]
    fn a_renewal_moves_the_end_and_a_worker_may_end_it_early() {
        let mut ward = ward();
        ward.take(Order::Until(END * 2), BEFORE);
        assert_eq!(ward.judge(END), Doomed::default());
        ward.take(Order::Until(Duration::ZERO), END);
        assert_eq!(ward.judge(END).groups, [group()]);
    }

    #[test]
    fn a_group_that_was_removed_is_never_killed() {
        let mut ward = ward();
        let remove = Order::Remove { group: group() };
        assert_eq!(ward.take(remove, BEFORE), Answer::Ok);
        assert_eq!(ward.judge(END * 2), Doomed::default());
        assert_eq!(ward.close(), Doomed::default());
    }

    #[test]
    fn nothing_starts_without_a_lease() {
        let mut ward = Ward::default();
        assert_eq!(ward.take(add(), BEFORE), Answer::Late);
        ward.take(Order::Until(END), BEFORE);
        assert_eq!(ward.take(add(), END), Answer::Late);
        assert_eq!(ward.take(Order::Hold, END), Answer::Late);
        assert_eq!(ward.judge(END), Doomed::default());
    }

    #[test]
    fn a_worker_that_does_not_stop_its_own_work_is_killed_a_moment_later() {
        let mut ward = Ward::default();
        ward.take(Order::Until(END), BEFORE);
        ward.take(Order::Hold, BEFORE);
        ward.take(Order::Hold, BEFORE);
        ward.take(Order::Release, BEFORE);
        assert_eq!(ward.due(), Some(END + OWN_GRACE));
        assert!(!ward.judge(END).worker);
        assert!(ward.judge(END + OWN_GRACE).worker);
        ward.take(Order::Until(END * 2), BEFORE);
        ward.take(Order::Hold, BEFORE);
        ward.take(Order::Release, BEFORE);
        assert!(!ward.judge(END * 3).worker);
    }

    #[test]
    fn the_end_of_the_socket_dooms_all_that_is_left() {
        let mut ward = ward();
        ward.take(Order::Hold, BEFORE);
        let doomed = ward.close();
        assert_eq!((doomed.groups, doomed.worker), (vec![group()], true));
    }
}
