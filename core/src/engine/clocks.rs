//! The clocks of live requests: the end of a pause, the queue's clock, the deadline. Each request that
//! has one is in line once, with the first that runs out.

use std::{collections::BTreeSet, time::Duration};

use super::Engine;
use crate::{
    admit::Limits,
    ids::{Now, Uid},
    life::{Dues, Life, LifeEvent},
};

#[derive(Debug, Default)]
pub(super) struct Clocks {
    due: BTreeSet<(Duration, Uid)>,
}

// === impl Clocks ===

impl Clocks {
    /// The clock of a request runs out at another time than it did.
    pub(super) fn set(&mut self, uid: &Uid, was: Option<Duration>, is: Option<Duration>) {
        reindex(&mut self.due, uid, was, is);
    }

    /// When the next one runs out.
    pub(super) fn first(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    fn over(&self, now: Duration) -> Vec<Uid> {
        let over = self.due.iter().take_while(|(due, _)| *due <= now);
        over.map(|(_, uid)| uid.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &BTreeSet<(Duration, Uid)> {
        &self.due
    }
}

/// A request is in line for another time than it was, or for none.
pub(super) fn reindex(
    line: &mut BTreeSet<(Duration, Uid)>,
    uid: &Uid,
    was: Option<Duration>,
    is: Option<Duration>,
) {
    if was == is {
        return;
    }
    if let Some(was) = was {
        line.remove(&(was, uid.clone()));
    }
    if let Some(is) = is {
        line.insert((is, uid.clone()));
    }
}

/// When the clocks of a request run out that was accepted then. What an earlier watcher accepted is as
/// old as the wall clock says; a clock that is over runs out now.
pub(super) fn dues(limits: &Limits, life: &Life, now: Now) -> Dues {
    let age = life.queued.age(now);
    let due = |limit: Duration| now.mono + limit.saturating_sub(age);
    Dues {
        queue: limits.queue_timeout.map(due),
        deadline: limits.deadline.map(due),
    }
}

// === impl Engine ===

impl Engine {
    /// After each change of a request.
    pub(super) fn track_clock(&mut self, uid: &Uid) {
        let Some(request) = super::live_in(&mut self.entries, uid) else {
            return;
        };
        let is = request.clock_at();
        let was = std::mem::replace(&mut request.clock, is);
        self.clocks.set(uid, was, is);
    }

    pub(super) fn clocks_run_out(&mut self, now: Now) {
        for uid in self.clocks.over(now.mono) {
            if self.has_waited(&uid, now) {
                self.gives_up_waiting(&uid, now);
            } else {
                self.apply(&uid, LifeEvent::Clock, now);
            }
        }
    }
}
