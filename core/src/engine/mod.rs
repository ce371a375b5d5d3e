//! The engine: one owner of all request state, one step per event, effects as values.
//!
//! The shell feeds [`Event`]s in order and carries out the [`Effect`]s of each step; the engine never
//! waits for one. `endpoints`, `discovery` and `requests` keep what the API shows, `greetings` and
//! `reports` what the workers say; `apply` carries out what a life decides, `clocks` and `expiry` what time
//! brings;
//! `instances` tells whose a request is and `missing` keeps those whose service is not there (yet);
//! `audit` tells what was decided;
//! `keyed` and `reads` what requests with the same idempotency key mean to each other; `line` keeps each
//! request's place in the schedule, and `pump` starts what can be started after every event.

mod apply;
mod audit;
mod clocks;
mod discovery;
mod endpoints;
mod expiry;
mod finished;
mod greetings;
mod instances;
mod io;
mod keyed;
mod leader;
mod limits;
mod line;
mod missing;
mod names;
mod pump;
mod reads;
mod reconfigure;
mod reports;
mod request;
mod requests;
mod sessions;
mod snapshot;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unruled;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

pub use io::{
    Assignment, Config, DeleteResult, Digest, Effect, Event, Hello, Measure, Observation, Params,
    Reconfigure, ToWorker, Write, WriteResult,
};
pub use snapshot::{Load, Snapshot};

use crate::{
    ids::{Now, Source, Uid},
    rules::Rules,
    schedule::Schedule,
    writes::Writes,
};
use clocks::Clocks;
use endpoints::Lists;
use expiry::Expiry;
use keyed::Keyed;
use leader::Leader;
use names::Names;
use reads::Reads;
use request::{Entry, Request};
use sessions::Sessions;

/// All requests, sessions and plans of one watcher.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    entries: HashMap<Uid, Entry>,
    sources: BTreeMap<Source, Lists>,
    /// The slice was read at least once, so `sources` is the truth.
    slice_read: bool,
    sessions: Sessions,
    schedule: Schedule,
    /// Tickets out, oldest first.
    offered: BTreeSet<(Duration, Uid)>,
    /// Waiting requests that get in line later; one that is there already, or waits no more, is skipped.
    delayed: BTreeSet<(Duration, Uid)>,
    clocks: Clocks,
    expiry: Expiry,
    /// Requests with an idempotency key.
    keyed: Keyed,
    names: Names,
    reads: Reads,
    writes: Writes,
    takeover_until: Duration,
    /// Inherited requests that went away during the take-over: one that comes back may still run.
    ghosts: BTreeSet<Uid>,
    leader: Leader,
    draining: bool,
    rules: Rules,
    effects: Vec<Effect>,
}

// === impl Engine ===

impl Engine {
    /// An engine that knows nothing yet. For one lease it grants no claim on what it finds in its first
    /// lists, since an earlier one may have granted it already.
    #[must_use]
    pub fn new(config: Config, now: Now) -> Self {
        let mut engine = Self {
            takeover_until: now.mono + config.own_lease(),
            writes: Writes::new(config.pace),
            config,
            entries: HashMap::new(),
            sources: BTreeMap::new(),
            slice_read: false,
            sessions: Sessions::default(),
            schedule: Schedule::default(),
            offered: BTreeSet::new(),
            delayed: BTreeSet::new(),
            clocks: Clocks::default(),
            expiry: Expiry::default(),
            keyed: Keyed::default(),
            names: Names::default(),
            reads: Reads::default(),
            leader: Leader::new(now),
            ghosts: BTreeSet::new(),
            draining: false,
            rules: Rules::default(),
            effects: Vec::new(),
        };
        engine.configure(now.mono);
        engine
    }

    /// Handles one event.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        if self.is_deposed(now) {
            return std::mem::take(&mut self.effects);
        }
        match event {
            Event::Endpoints(sources) => self.endpoints_changed(&sources, now),
            Event::ListStarted(source) => self.list_started(&source),
            Event::Observed(observation) => self.observed(*observation, now),
            Event::Listed(source) => self.listed(&source, now),
            Event::Unserved(source) => self.unserved(&source, now),
            Event::Gone { uid, source } => self.gone(&uid, &source, now),
            Event::Hello(session, hello) => self.greeted(session, &hello, now),
            Event::SessionClosed(session) => self.session_closed(session, now),
            Event::Heartbeat {
                session,
                seq,
                held,
                free,
                draining,
            } => {
                self.heartbeat(session, seq, &held, (free, draining), now);
            }
            Event::Claim(session, id) => self.claimed(session, &id, now),
            Event::Progress(session, id, progress) => self.progressed(session, &id, progress, now),
            Event::Outcome(session, id, outcome) => self.ended(session, &id, outcome, now),
            Event::ParamsRead(id, params) => self.params_read(&id, params, now),
            Event::Unplaced(id) | Event::DeadLettered(id) => self.unplaced(&id, now),
            Event::Deleted(uid, result) => self.deleted(&uid, result, now),
            Event::HandedOver => self.leader.handed_over = true,
            Event::StatusRead(uid, status) => self.status_read(&uid, status, now),
            Event::Reconfigured(new) => self.reconfigured(*new, now),
            Event::BrokerUp => self.publish_all_again(now),
            Event::Written(uid, result) => self.written(&uid, result, now),
            Event::Wake => self.wake(now),
            Event::Drain => self.drain(now),
        }
        self.pump(now);
        #[cfg(test)]
        self.suppress_past_the_lead(now);
        std::mem::take(&mut self.effects)
    }

    /// Everything that should be in the API is: a draining process may end.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.writes.backlog() == 0
    }

    fn live(&self, uid: &Uid) -> Option<&Request> {
        match self.entries.get(uid) {
            Some(Entry::Live(request)) => Some(request),
            _ => None,
        }
    }

    fn live_mut(&mut self, uid: &Uid) -> Option<&mut Request> {
        live_in(&mut self.entries, uid)
    }

    fn measure(&mut self, measure: Measure) {
        self.effects.push(Effect::Measure(measure));
    }
}

fn live_in<'a>(entries: &'a mut HashMap<Uid, Entry>, uid: &Uid) -> Option<&'a mut Request> {
    match entries.get_mut(uid) {
        Some(Entry::Live(request)) => Some(request),
        _ => None,
    }
}
