//! What one tenant has of one service: a line for each priority and who of them is next.

use std::{collections::BTreeMap, sync::Arc};

use crate::{api::Priority, ids::Uid};

/// So many of each line in turn, by [`Priority`]: Low, Normal, High.
const SHARES: [u8; 3] = [1, 4, 12];
/// Those that go first come first.
pub(super) const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) service: Arc<str>,
    pub(super) tenant: Arc<str>,
    /// Its place in the service's round; the least is next.
    pub(super) turn: i64,
    /// The turn under which the service lists it as ready.
    pub(super) listed: Option<i64>,
    lines: [BTreeMap<u64, Uid>; 3],
    /// What is left of each line's share.
    left: [u8; 3],
    /// Requests in a line, and those that wait for their key.
    pub(super) lined: u32,
    /// Requests that are offered or held.
    pub(super) in_flight: u32,
    /// All requests, wherever they are.
    pub(super) members: u32,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(service: Arc<str>, tenant: Arc<str>) -> Self {
        Self {
            service,
            tenant,
            turn: 0,
            listed: None,
            lines: Default::default(),
            left: SHARES,
            lined: 0,
            in_flight: 0,
            members: 0,
        }
    }

    pub(super) fn line(&mut self, priority: Priority) -> &mut BTreeMap<u64, Uid> {
        &mut self.lines[priority as usize]
    }

    pub(super) fn head(&self, priority: Priority) -> Option<(u64, &Uid)> {
        let head = self.lines[priority as usize].first_key_value();
        head.map(|(seq, uid)| (*seq, uid))
    }

    /// Requests in a line whose key is not known to be busy.
    pub(super) fn in_line(&self) -> u32 {
        let all: usize = self.lines.iter().map(BTreeMap::len).sum();
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    /// Whose turn it is: the highest line that has some of its share left, or, when none of those that
    /// wait has, the highest line. So a line that never runs dry is picked at least once in each
    /// renewal of the shares, and one that is alone just flows.
    pub(super) fn next(&self) -> Option<Priority> {
        let mut waiting = PRIORITIES.into_iter().filter(|p| self.head(*p).is_some());
        let first = waiting.clone().next();
        waiting.find(|p| self.left[*p as usize] > 0).or(first)
    }

    /// One of the line that was next is taken.
    pub(super) fn spend(&mut self, priority: Priority) {
        if self.left[priority as usize] == 0 {
            self.left = SHARES;
        }
        self.left[priority as usize] -= 1;
    }
}
