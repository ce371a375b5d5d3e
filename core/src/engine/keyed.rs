//! Requests with an idempotency key: they ask for their place, tell how they end, and the verdicts on
//! them are carried out. `keys` decides.

mod member;
mod settle;
mod verdicts;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

pub(super) use member::Stage;

use super::{Digest, Engine, Entry, Observation, Request};
use crate::{
    api::{OnConflict, Phase, RequestStatus},
    ids::{Now, Uid},
    keys::{Ending, Key, Keys, Member, Verdict},
    life::{Done, End, LifeEvent, State},
    reason::Reason,
};

#[derive(Debug, Default)]
pub(super) struct Keyed {
    pub(super) keys: Keys,
    /// To be carried out, in the order in which they were given.
    verdicts: VecDeque<Verdict>,
    /// Ended, but a run of theirs may not have stopped yet.
    lingering: BTreeMap<Uid, Ending>,
    /// Open places may be decided now, as soon as no unknown run is left.
    pub(super) unsettled: bool,
}

/// What a request with a key asks for.
#[derive(Debug)]
pub(super) struct Asked {
    key: Key,
    member: Member,
    /// By its status it waited for another one.
    behind: bool,
}

// === impl Asked ===

impl Asked {
    /// None of a request without a key.
    pub(super) fn of(found: &Observation, accepted: bool) -> Option<Self> {
        let spec = found.spec.as_ref().ok()?;
        let word = spec.idempotency_key.as_deref()?.into();
        let address = &found.address;
        let (uid, created): (Uid, _) = (found.uid.clone(), found.created);
        let digest: Option<Digest> = found.digest;
        let on_conflict: OnConflict = spec.on_conflict.unwrap_or_default();
        Some(Self {
            key: Key {
                cluster: address.cluster.clone(),
                namespace: address.namespace.clone(),
                kind: address.kind.clone(),
                service: spec.service.as_str().into(),
                word,
            },
            member: Member {
                uid,
                created,
                digest,
                on_conflict,
                accepted,
            },
            behind: found.status.as_ref().is_some_and(was_behind),
        })
    }
}

fn was_behind(status: &RequestStatus) -> bool {
    let reason = status.conditions.first().map(|first| first.reason.as_str());
    status.attached_to.is_some() || reason == Some(Reason::Replacing.as_str())
}

/// Whether a request that ended like that holds its key: it succeeded, by itself.
pub(super) fn holds_key(status: Option<&RequestStatus>) -> bool {
    status.is_some_and(|status| {
        status.phase == Some(Phase::Succeeded) && status.attached_to.is_none()
    })
}

// === impl Keyed ===

impl Keyed {
    /// Whether the place of that request is not decided yet.
    pub(super) fn is_open(&self, uid: &Uid) -> bool {
        self.keys.any_open() && self.keys.is_open(uid)
    }

    #[cfg(test)]
    pub(super) fn is_lingering(&self, uid: &Uid) -> bool {
        self.lingering.contains_key(uid)
    }

    #[cfg(test)]
    pub(super) fn lingering(&self) -> impl Iterator<Item = &Uid> {
        self.lingering.keys()
    }
}

// === impl Engine ===

impl Engine {
    /// A request that succeeded long ago.
    pub(super) fn keeps_key(&mut self, asked: Asked) {
        self.keyed.keys.list_succeeded(asked.key, asked.member);
    }

    /// A request that was just seen asks for its place.
    pub(super) fn asks(&mut self, uid: &Uid, asked: Asked, now: Now) {
        let known = self.keyed.keys.contains(uid);
        let Some(request) = self.live(uid) else {
            return;
        };
        let (inherited, life) = (request.inherited, &request.life);
        let decided = life.worker.is_some() || life.stop.is_some();
        if known {
            self.is_back(uid);
        }
        if decided && !inherited {
            // Live in the API, unknown here, and the take-over is over: nobody holds it.
            self.apply(uid, LifeEvent::TakeoverEnded, now);
        }
        if known {
            return;
        }
        if inherited {
            let (key, member) = (asked.key, asked.member);
            self.keyed.keys.list(key, member, asked.behind);
            return;
        }
        let done = |state: &State| matches!(state, State::Done(_));
        if self.live(uid).is_some_and(|r| !done(&r.life.state)) {
            let verdicts = self.keyed.keys.join(asked.key, asked.member);
            self.keyed.verdicts.extend(verdicts);
        }
    }

    /// It was forgotten while a run of it had not stopped: it takes its old place.
    fn is_back(&mut self, uid: &Uid) {
        let keyed = &mut self.keyed;
        keyed.lingering.remove(uid);
        keyed.keys.back(uid);
        let uid = uid.clone();
        let verdict = match keyed.keys.waits_for(&uid) {
            Some((earlier, attached)) => Verdict::Waits {
                uid,
                earlier,
                attached,
            },
            None => Verdict::Runs(uid),
        };
        keyed.verdicts.push_back(verdict);
    }

    /// After each change of a request: what it means to the others with its key.
    pub(super) fn key_follows(&mut self, uid: &Uid, before: Stage) {
        let Some(request) = self.live(uid) else {
            return;
        };
        let (state, after) = (&request.life.state, Stage::of(&request.life.state));
        match (before, after) {
            (Stage::Gone | Stage::Live | Stage::Behind, Stage::Done) => {
                let shared = matches!(
                    state,
                    State::Done(Done {
                        end: End::Succeeded { .. } | End::Failed { .. } | End::Foreign,
                        ..
                    })
                );
                // What others share is to be durable before.
                if before == Stage::Behind || !shared {
                    self.leaves_key(uid, Ending::Dropped);
                }
            }
            (Stage::Live, Stage::Gone) => self.keyed.keys.gone(uid),
            (Stage::Gone, Stage::Live) => self.keyed.keys.back(uid),
            _ => {}
        }
    }

    /// The end of a request is durable, and still at hand.
    pub(super) fn key_retires(&mut self, uid: &Uid, now: Now) {
        if !self.keyed.keys.contains(uid) {
            return;
        }
        let Some(how) = self.live(uid).and_then(Request::ending) else {
            return;
        };
        self.carry_out(now);
        self.leaves_key(uid, how);
        self.carry_out(now);
    }

    /// A request with a key has ended or is gone. Nobody takes its place before its runs have stopped.
    pub(super) fn leaves_key(&mut self, uid: &Uid, how: Ending) {
        let keyed = &mut self.keyed;
        if !keyed.keys.contains(uid) {
            return;
        }
        if self.sessions.has_stray(uid) && !keyed.keys.is_open(uid) {
            if how == Ending::Succeeded {
                keyed.lingering.insert(uid.clone(), how);
            } else {
                keyed.keys.gone(uid);
                keyed.lingering.insert(uid.clone(), Ending::Dropped);
            }
            return;
        }
        keyed.lingering.remove(uid);
        keyed.unsettled |= keyed.keys.any_open();
        let verdicts = keyed.keys.ended(uid, how);
        keyed.verdicts.extend(verdicts);
        if how != Ending::Succeeded {
            self.reads.forget(uid);
        }
    }

    /// The runs of what has ended may have stopped meanwhile.
    fn release_lingering(&mut self) {
        if self.keyed.lingering.is_empty() {
            return;
        }
        for (uid, how) in self.keyed.lingering.clone() {
            self.leaves_key(&uid, how);
        }
    }

    /// Nothing of it is started yet: it was granted by an earlier watcher, perhaps.
    pub(super) fn is_held_back(&self, uid: &Uid) -> bool {
        self.live(uid).is_some_and(|request| {
            let told = request.was_told(self.leader.handed_over);
            request.inherited && !told && !self.is_recovered(&request.address.source())
        })
    }

    /// Whether it may get in line. One that waits for an earlier one does that instead.
    pub(super) fn may_enqueue(&mut self, uid: &Uid, now: Now) -> bool {
        if self.keyed.is_open(uid) {
            if let Some(request) = self.live_mut(uid) {
                request.life.state = State::Recovering;
                self.track_clock(uid);
                self.keep_place(uid);
            }
            return false;
        }
        let Some((earlier, attached)) = self.keyed.keys.waits_for(uid) else {
            return true;
        };
        self.stands_behind(uid, &earlier, attached, now);
        false
    }

    /// Who shows what that request shows.
    pub(super) fn mirrors_of(&self, uid: &Uid) -> Vec<Uid> {
        let live = self.live(uid).filter(|request| request.end().is_none());
        if live.is_none() || !self.keyed.keys.contains(uid) {
            return vec![];
        }
        let mut attached = self.keyed.keys.attached_to(uid);
        let mirrors = |other: &Uid| {
            let other = self.live(other);
            other.is_some_and(|other| Stage::of(&other.life.state) == Stage::Behind)
        };
        attached.retain(mirrors);
        attached
    }

    /// Another request with its key has not stopped yet.
    pub(super) fn is_key_held(&self, uid: &Uid) -> bool {
        let held = |other: &Uid| {
            let holder = self.live(other).and_then(|other| other.life.holder());
            holder.is_some() || self.sessions.has_stray(other)
        };
        let state = self.live(uid).map(|request| &request.life.state);
        let waits = matches!(
            state,
            Some(State::Waiting | State::Offered { .. } | State::Reserved { .. })
        );
        waits && self.keyed.keys.others(uid).any(held)
    }

    /// Where an entry lives has a name.
    fn name_of(&self, uid: &Uid) -> Option<Arc<str>> {
        match self.entries.get(uid)? {
            Entry::Live(request) => Some(request.address.name.clone()),
            Entry::Finished(finished) => Some(finished.address()?.name),
        }
    }
}
