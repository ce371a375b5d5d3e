//! The endpoints of the slice and their full lists: what is there, what is gone, what was inherited.

use std::{sync::Arc, time::Duration};

use super::{Engine, Entry};
use crate::{
    ids::{Now, Uid},
    life::{LifeEvent, State},
};

#[derive(Debug, Default)]
pub(super) struct Endpoint {
    /// The number of the newest full list; 0 before the first.
    pub(super) list: u32,
    /// A full list was completed.
    pub(super) listed: bool,
    /// The take-over period is over for its requests.
    pub(super) recovered: bool,
    /// Since when it is missing in the slice.
    vanished: Option<Duration>,
    /// It vanished and was not listed since: nothing new starts there, nothing is cancelled.
    pub(super) suspect: bool,
    /// Requests whose turn came while it was suspect.
    pub(super) parked: Vec<Uid>,
}

// === impl Engine ===

impl Engine {
    pub(super) fn endpoints_changed(&mut self, urls: &[Arc<str>], now: Now) {
        self.slice_read = true;
        for url in urls {
            self.endpoints.entry(url.clone()).or_default().vanished = None;
        }
        for (url, endpoint) in &mut self.endpoints {
            if !urls.contains(url) {
                endpoint.vanished.get_or_insert(now.mono);
                endpoint.suspect = true;
            }
        }
        self.judge_greetings(now);
    }

    pub(super) fn list_started(&mut self, url: &Arc<str>) {
        self.endpoints.entry(url.clone()).or_default().list += 1;
    }

    /// What a completed list lacks is gone; what a lost watch may have hidden is known again.
    pub(super) fn listed(&mut self, url: &Arc<str>, now: Now) {
        let endpoint = self.endpoints.entry(url.clone()).or_default();
        let list = endpoint.list;
        endpoint.listed = true;
        endpoint.suspect = endpoint.vanished.is_some();
        let parked = std::mem::take(&mut endpoint.parked);
        for uid in self.uids(|entry| entry.endpoint() == url && entry.list() < list) {
            self.apply(&uid, LifeEvent::Gone, now);
        }
        for uid in parked {
            self.line_up(&uid);
        }
        self.judge_greetings(now);
        if self.leader.handed_over {
            self.take_over(url, now);
        }
        self.end_takeover(now);
    }

    /// Once the take-over period is over, what nobody greeted with is lost or dispatched, oldest first.
    pub(super) fn end_takeover(&mut self, now: Now) {
        if now.mono < self.takeover_until {
            return;
        }
        let over = |endpoint: &Endpoint| endpoint.listed && !endpoint.recovered;
        let urls: Vec<Arc<str>> = self
            .endpoints
            .iter()
            .filter(|(_, e)| over(e))
            .map(|(url, _)| url.clone())
            .collect();
        if urls.is_empty() {
            return;
        }
        for url in &urls {
            self.endpoints.entry(url.clone()).or_default().recovered = true;
        }
        let mut recovering = self.uids(|entry| match entry {
            Entry::Live(request) => {
                request.life.state == State::Recovering && urls.contains(entry.endpoint())
            }
            Entry::Finished(_) => false,
        });
        recovering.retain(|uid| !self.keyed.is_open(uid));
        self.keyed.unsettled = true;
        if self.endpoints.values().all(|endpoint| endpoint.recovered) {
            self.ghosts.clear();
        }
        recovering.sort_by_key(|uid| self.live(uid).map(|request| request.life.queued.wall));
        for uid in recovering {
            self.apply(&uid, LifeEvent::TakeoverEnded, now);
        }
    }

    /// When the take-over period ends, while something waits for that.
    pub(super) fn takeover_at(&self) -> Option<Duration> {
        let waits = self
            .endpoints
            .values()
            .any(|endpoint| endpoint.listed && !endpoint.recovered);
        waits.then_some(self.takeover_until)
    }

    /// Every endpoint was listed, the vanished ones too: what is unknown now does not exist.
    pub(super) fn all_listed(&self) -> bool {
        self.slice_read && self.endpoints.values().all(|e| e.listed)
    }

    /// Every endpoint of the slice was listed.
    pub(super) fn slice_listed(&self) -> bool {
        self.slice_read && self.endpoints.values().all(|e| e.listed || e.suspect)
    }

    pub(super) fn is_recovered(&self, url: &str) -> bool {
        self.endpoints
            .get(url)
            .is_some_and(|endpoint| endpoint.recovered)
    }

    pub(super) fn is_suspect(&self, url: &str) -> bool {
        self.endpoints
            .get(url)
            .is_some_and(|endpoint| endpoint.suspect)
    }

    /// An endpoint that stayed away for so long is gone, and its requests with it.
    pub(super) fn drop_vanished(&mut self, now: Now) {
        let limit = self.config.suspect;
        let over = |e: &Endpoint| e.vanished.is_some_and(|since| since + limit <= now.mono);
        let dropped: Vec<Arc<str>> = self
            .endpoints
            .iter()
            .filter(|(_, e)| over(e))
            .map(|(url, _)| url.clone())
            .collect();
        for url in dropped {
            let parked = self
                .endpoints
                .remove(&url)
                .map(|e| e.parked)
                .unwrap_or_default();
            for uid in self.uids(|entry| *entry.endpoint() == url) {
                self.apply(&uid, LifeEvent::Gone, now);
            }
            // Those that live elsewhere by now.
            for uid in parked {
                self.line_up(&uid);
            }
            self.judge_greetings(now);
        }
    }

    /// When the next vanished endpoint is given up.
    pub(super) fn drop_at(&self) -> Option<Duration> {
        let first = self
            .endpoints
            .values()
            .filter_map(|endpoint| endpoint.vanished)
            .min()?;
        Some(first + self.config.suspect)
    }

    /// In a fixed order, so that a run can be repeated.
    pub(super) fn uids(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Uid> {
        let found = self.entries.iter().filter(|(_, entry)| wanted(entry));
        let mut uids: Vec<Uid> = found.map(|(uid, _)| uid.clone()).collect();
        uids.sort();
        uids
    }
}
