//! The sources and their full lists: what is there, what is gone, what was inherited.
//!
//! A source is one kind at one endpoint. Each is listed on its own, and one that cannot be listed holds up
//! no request of another. Only one thing waits for all of them: the judgement over what a worker holds and
//! no list has shown yet (`judge_greetings`), since any list may still show it.
//!
//! **A kind that is not served.** A configured kind may be missing at an endpoint for ever, and what waits
//! for its list would wait for ever, with the slots of the workers that hold it. So its source counts as
//! listed, and empty, once the API server has said for [`Config::suspect`](super::Config::suspect), again
//! and again, that it does not serve the kind. Until then it is suspect, like an endpoint that vanished from
//! the slice: nothing new starts there, nothing is cancelled.
//!
//! That is safe even when it is wrong and the kind comes back with its requests. A run that was judged as
//! unknown is told to stop and becomes a stray, and no request is granted while a stray of it is there, so
//! the next attempt starts only when the worker has said that the run ended, or its lease has. What was
//! judged too early costs a second run after the first, never beside it; and since an API server that comes
//! up does not serve a kind for some seconds, its word is not taken at once, nor when it was last heard
//! long ago: it may have been away since.

use std::{collections::BTreeSet, time::Duration};

use super::{Engine, Entry};
use crate::{
    audit::Cancel,
    ids::{Now, Source, Uid},
    life::{LifeEvent, State},
};

/// "Not served" counts from anew when it was not heard for so long. It is told at each retry.
const UNHEARD: Duration = Duration::from_secs(60);

/// What is known of the lists of one source.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The number of the newest full list; 0 before the first.
    pub(super) list: u32,
    /// A full list was completed.
    pub(super) listed: bool,
    /// The take-over period is over for its requests.
    pub(super) recovered: bool,
    /// Since when its endpoint is missing in the slice.
    vanished: Option<Duration>,
    /// What the API server says while it does not serve the kind.
    unserved: Option<Unserved>,
    /// It vanished or is not served, and was not listed since: nothing new starts there, nothing is
    /// cancelled.
    pub(super) suspect: bool,
    /// Requests whose turn came while it was suspect.
    pub(super) parked: Vec<Uid>,
}

#[derive(Clone, Copy, Debug)]
struct Unserved {
    /// Since when it says so, without a pause.
    since: Duration,
    /// When it said so last.
    last: Duration,
    /// It said so for so long that there is nothing to be listed.
    given_up: bool,
}

// === impl Lists ===

impl Lists {
    fn is_given_up(&self) -> bool {
        self.unserved.is_some_and(|unserved| unserved.given_up)
    }

    fn hear_unserved(&mut self, now: Duration) -> Unserved {
        let before = self.unserved.filter(|it| now <= it.last + UNHEARD);
        let unserved = Unserved {
            since: before.map_or(now, |it| it.since),
            last: now,
            given_up: self.is_given_up(),
        };
        (self.unserved, self.suspect) = (Some(unserved), true);
        unserved
    }
}

// === impl Engine ===

impl Engine {
    pub(super) fn endpoints_changed(&mut self, sources: &[Source], now: Now) {
        self.slice_read = true;
        for source in sources {
            self.sources.entry(source.clone()).or_default().vanished = None;
        }
        for (source, lists) in &mut self.sources {
            if !sources.contains(source) {
                lists.vanished.get_or_insert(now.mono);
                lists.suspect = true;
            }
        }
        self.judge_greetings(now);
    }

    pub(super) fn list_started(&mut self, source: &Source) {
        self.sources.entry(source.clone()).or_default().list += 1;
    }

    /// A request is there: the number of the list that shows it.
    pub(super) fn shown_in(&mut self, source: &Source) -> u32 {
        let lists = self.sources.entry(source.clone()).or_default();
        if let Some(unserved) = &mut lists.unserved {
            unserved.given_up = false;
        }
        lists.list
    }

    /// What a completed list lacks is gone; what a lost watch may have hidden is known again.
    pub(super) fn listed(&mut self, source: &Source, now: Now) {
        let lists = self.sources.entry(source.clone()).or_default();
        let list = lists.list;
        (lists.listed, lists.unserved) = (true, None);
        lists.suspect = lists.vanished.is_some();
        let parked = std::mem::take(&mut lists.parked);
        for uid in self.uids(|entry| entry.is_at(source) && entry.list() < list) {
            self.leaves(&uid, Cancel::Deleted, now);
        }
        for uid in parked {
            self.line_up(&uid);
        }
        self.judge_greetings(now);
        if self.leader.handed_over {
            self.take_over(source, now);
        }
        self.end_takeover(now);
    }

    /// The API server says that it does not serve the kind there.
    pub(super) fn unserved(&mut self, source: &Source, now: Now) {
        let limit = self.config.suspect;
        let lists = self.sources.entry(source.clone()).or_default();
        let unserved = lists.hear_unserved(now.mono);
        if unserved.since + limit <= now.mono && !unserved.given_up {
            let again = Lists {
                list: lists.list,
                vanished: lists.vanished,
                unserved: Some(Unserved {
                    given_up: true,
                    ..unserved
                }),
                suspect: true,
                ..Lists::default()
            };
            let before = std::mem::replace(lists, again);
            self.all_gone(source, before.parked, now);
        }
    }

    /// Once the take-over period is over, what nobody greeted with is lost or dispatched, oldest first.
    pub(super) fn end_takeover(&mut self, now: Now) {
        if now.mono < self.takeover_until {
            return;
        }
        let mut over = BTreeSet::new();
        for (source, lists) in &mut self.sources {
            if lists.listed && !std::mem::replace(&mut lists.recovered, lists.listed) {
                over.insert(source.clone());
            }
        }
        if over.is_empty() {
            return;
        }
        let mut recovering = self.uids(|entry| match entry {
            Entry::Live(request) => {
                request.life.state == State::Recovering && over.contains(&entry.source())
            }
            Entry::Finished(_) => false,
        });
        recovering.retain(|uid| !self.keyed.is_open(uid));
        self.keyed.unsettled = true;
        // What an unlisted source shows counts as inherited whether it was known or not, and what a listed
        // one shows never does from now on.
        self.ghosts.clear();
        recovering.sort_by_key(|uid| self.live(uid).map(|request| request.life.queued.wall));
        for uid in recovering {
            self.apply(&uid, LifeEvent::TakeoverEnded, now);
        }
    }

    /// When the take-over period ends, while something waits for that.
    pub(super) fn takeover_at(&self) -> Option<Duration> {
        let waits = |lists: &Lists| lists.listed && !lists.recovered;
        let waits = self.sources.values().any(waits);
        waits.then_some(self.takeover_until)
    }

    /// Every source was listed, the vanished ones too: what is unknown now does not exist.
    pub(super) fn all_listed(&self) -> bool {
        self.slice_read && self.sources.values().all(|e| e.listed || e.is_given_up())
    }

    /// Everything that is served at the endpoints of the slice was listed.
    pub(super) fn slice_listed(&self) -> bool {
        self.slice_read && self.sources.values().all(|e| e.listed || e.suspect)
    }

    pub(super) fn is_recovered(&self, source: &Source) -> bool {
        let lists = self.sources.get(source);
        lists.is_some_and(|lists| lists.recovered)
    }

    pub(super) fn is_suspect(&self, source: &Source) -> bool {
        let lists = self.sources.get(source);
        lists.is_some_and(|lists| lists.suspect)
    }

    /// Endpoints at which something is listed and watched.
    pub(super) fn usable_endpoints(&self) -> usize {
        let usable = self.sources.iter().filter(|(_, lists)| !lists.suspect);
        let endpoints: BTreeSet<_> = usable.map(|(source, _)| &source.endpoint).collect();
        endpoints.len()
    }

    /// An endpoint that stayed away for so long is gone, and its requests with it.
    pub(super) fn drop_vanished(&mut self, now: Now) {
        let limit = self.config.suspect;
        let over = |e: &Lists| e.vanished.is_some_and(|since| since + limit <= now.mono);
        let dropped = self.sources.iter().filter(|(_, lists)| over(lists));
        let dropped: Vec<Source> = dropped.map(|(source, _)| source.clone()).collect();
        for source in dropped {
            let lists = self.sources.remove(&source).unwrap_or_default();
            self.all_gone(&source, lists.parked, now);
        }
    }

    /// Nothing lives there any more.
    fn all_gone(&mut self, source: &Source, parked: Vec<Uid>, now: Now) {
        for uid in self.uids(|entry| entry.is_at(source)) {
            self.leaves(&uid, Cancel::Vanished, now);
        }
        // Those that live elsewhere by now.
        for uid in parked {
            self.line_up(&uid);
        }
        self.judge_greetings(now);
    }

    /// When the next vanished endpoint is given up.
    pub(super) fn drop_at(&self) -> Option<Duration> {
        let vanished = self.sources.values().filter_map(|lists| lists.vanished);
        Some(vanished.min()? + self.config.suspect)
    }

    /// In a fixed order, so that a run can be repeated.
    pub(super) fn uids(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Uid> {
        let found = self.entries.iter().filter(|(_, entry)| wanted(entry));
        let mut uids: Vec<Uid> = found.map(|(uid, _)| uid.clone()).collect();
        uids.sort();
        uids
    }
}
