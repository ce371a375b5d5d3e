//! Streams and leases: greetings, heartbeats, and what silence means.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use super::{Effect, Engine, Entry, Hello, Measure, ToWorker, sessions::Session};
use crate::{
    ids::{AttemptId, Holder, Now, SessionId, Uid},
    life::{LifeEvent, State},
    rules::Rule,
};

impl Engine {
    /// A new stream voids everything of the old one: what the greeting does not list was never granted.
    pub(super) fn greeted(&mut self, id: SessionId, hello: &Hello, now: Now) {
        let holder = hello.holder.clone();
        let until = self.lease_end(now);
        let lease = self.sessions.holders.entry(holder.clone()).or_default();
        if hello.greeting < lease.greeting && self.rules.hold(Rule::OldStreamIsVoid) {
            // It was long on its way: the worker left that stream and greeted again since.
            self.measure(Measure::Ignored("old_greeting"));
            return self.effects.push(Effect::Close(id));
        }
        lease.greeting = hello.greeting;
        (lease.services, lease.slots) = (hello.services.clone(), hello.slots);
        lease.until = until;
        lease.strays.clear();
        lease.unlisted.clear();
        lease.unjudged.clear();
        if let Some(old) = lease.session.replace(id) {
            if self.rules.hold(Rule::OldStreamIsVoid) {
                self.sessions.open.remove(&old);
            }
            self.effects.push(Effect::Close(old));
        }
        self.sessions.open.insert(id, Session::new(hello));
        let unlisted = self.unlisted(&holder, hello.running.iter().chain(&hello.outcomes));
        self.void(&holder, unlisted.iter(), now);
        self.welcome(id);
        let running = hello.running.iter().map(|attempt| (attempt, false));
        let ended = hello.outcomes.iter().map(|attempt| (attempt, true));
        for (attempt, has_ended) in running.chain(ended) {
            self.judge(&holder, attempt, has_ended, now);
        }
    }

    fn lease_end(&self, now: Now) -> Duration {
        if !self.rules.hold(Rule::LongerLease) {
            return now.mono + self.config.lease;
        }
        now.mono + self.config.own_lease()
    }

    /// What a worker process holds here but does not list.
    fn unlisted<'a>(
        &self,
        holder: &Holder,
        listed: impl Iterator<Item = &'a AttemptId>,
    ) -> BTreeSet<Uid> {
        let listed: HashSet<&AttemptId> = listed.collect();
        let is_listed = |uid: &Uid| self.live(uid).is_some_and(|r| listed.contains(&r.id(uid)));
        self.sessions
            .held(holder)
            .into_iter()
            .filter(|uid| !is_listed(uid))
            .collect()
    }

    fn void<'a>(&mut self, holder: &Holder, uids: impl Iterator<Item = &'a Uid>, now: Now) {
        if !self.rules.hold(Rule::UnlistedGrantReturns) {
            return;
        }
        for uid in uids {
            let by = holder.clone();
            let event = if self.rules.hold(Rule::UnlistedGrantIsUncounted) {
                LifeEvent::Missing { by }
            } else {
                LifeEvent::LeaseEnded { by }
            };
            self.apply(uid, event, now);
        }
    }

    fn welcome(&mut self, id: SessionId) {
        let welcome = ToWorker::Welcome {
            instance: self.config.instance.clone(),
            lease: self.config.lease,
            heartbeat: self.config.heartbeat,
            stop: vec![],
        };
        self.effects.push(Effect::Send(id, welcome));
    }

    /// Decides on one greeted attempt. What no list has shown yet is decided when the lists are there.
    fn judge(&mut self, by: &Holder, attempt: &AttemptId, has_ended: bool, now: Now) {
        match self.entries.get(&attempt.uid) {
            Some(Entry::Live(request)) if !self.may_run(by, attempt, &request.service) => {
                self.measure(Measure::Ignored("not_your_service"));
                if !has_ended {
                    self.tell(by, ToWorker::Cancel(attempt.clone(), "not_your_service"));
                    self.stray(by, attempt);
                }
            }
            Some(Entry::Live(request)) => {
                // An outcome of something else is answered when it comes.
                if !has_ended || request.life.state == State::Recovering {
                    let event = LifeEvent::Greeted {
                        by: by.clone(),
                        attempt: attempt.attempt,
                    };
                    self.apply(&attempt.uid, event, now);
                }
                if !has_ended && !self.holds(by, attempt) {
                    self.stray(by, attempt);
                }
            }
            None if !self.all_listed() => {
                if let Some(lease) = self.sessions.holders.get_mut(by) {
                    lease.unjudged.push((attempt.clone(), has_ended));
                }
            }
            _ if has_ended => {}
            found => {
                let why = if found.is_some() { "done" } else { "unknown" };
                self.tell(by, ToWorker::Cancel(attempt.clone(), why));
                self.stray(by, attempt);
            }
        }
    }

    /// Whether a worker that greets with an attempt says that it runs its service; what it holds already was
    /// granted to it.
    fn may_run(&self, by: &Holder, attempt: &AttemptId, service: &str) -> bool {
        let lease = self.sessions.holders.get(by);
        lease.is_some_and(|lease| lease.services.iter().any(|name| **name == *service))
            || self.holds(by, attempt)
    }

    pub(super) fn holds(&self, by: &Holder, attempt: &AttemptId) -> bool {
        self.live(&attempt.uid).is_some_and(|request| {
            request.life.holder() == Some(by) && request.life.attempt() == attempt.attempt
        })
    }

    /// Its request is granted to nobody until this run has ended too.
    pub(super) fn stray(&mut self, by: &Holder, attempt: &AttemptId) {
        if let Some(lease) = self.sessions.holders.get_mut(by) {
            lease.strays.insert(attempt.clone());
        }
    }

    /// After a list: what was greeted before it can be judged now.
    pub(super) fn judge_greetings(&mut self, now: Now) {
        let holders: Vec<Holder> = self.sessions.holders.keys().cloned().collect();
        for by in holders {
            let lease = self.sessions.holders.get_mut(&by);
            let greeted = lease.map(|lease| std::mem::take(&mut lease.unjudged));
            for (attempt, has_ended) in greeted.into_iter().flatten() {
                self.judge(&by, &attempt, has_ended, now);
            }
        }
        let ids: Vec<SessionId> = self.sessions.open.keys().copied().collect();
        for id in ids {
            let session = self.sessions.open.get_mut(&id);
            let outcomes = session.map(|session| std::mem::take(&mut session.unjudged_outcomes));
            for (attempt, outcome) in outcomes.into_iter().flatten() {
                self.ended(id, &attempt, outcome, now);
            }
        }
    }

    pub(super) fn session_closed(&mut self, id: SessionId, now: Now) {
        let Some(session) = self.sessions.open.remove(&id) else {
            return;
        };
        if let Some(lease) = self.sessions.holders.get_mut(&session.holder) {
            lease.session = None;
        }
        // A claim whose parameters are still being read was answered on no stream: it is void.
        for uid in self.sessions.held(&session.holder) {
            let state = self.live(&uid).map(|request| &request.life.state);
            if matches!(state, Some(State::Reserved { .. })) {
                self.apply(
                    &uid,
                    LifeEvent::Missing {
                        by: session.holder.clone(),
                    },
                    now,
                );
            }
        }
    }

    /// Renews the lease, then says so.
    pub(super) fn heartbeat(
        &mut self,
        id: SessionId,
        seq: u64,
        held: &[AttemptId],
        (free, draining): (u32, bool),
        now: Now,
    ) {
        let until = self.lease_end(now);
        let Some(session) = self.sessions.open.get_mut(&id) else {
            return;
        };
        (session.free, session.draining) = (free, draining);
        let holder = session.holder.clone();
        let unlisted = self.unlisted(&holder, held.iter());
        let lease = self.sessions.holders.entry(holder.clone()).or_default();
        lease.until = until;
        lease.strays.retain(|stray| held.contains(stray));
        // Claims may overtake heartbeats on their way here, even several that stood still together.
        let before = std::mem::take(&mut lease.unlisted);
        let since = |uid: &Uid| before.get(uid).copied().unwrap_or(now.mono);
        lease.unlisted = unlisted
            .iter()
            .map(|uid| (uid.clone(), since(uid)))
            .collect();
        let told_twice = self.config.heartbeat / 2;
        let void = |uid: &&Uid| since(uid) + told_twice <= now.mono;
        self.void(&holder, unlisted.iter().filter(void), now);
        self.effects
            .push(Effect::Send(id, ToWorker::HeartbeatAck(seq)));
    }

    /// Worker processes that were silent for a whole lease hold nothing any more.
    pub(super) fn end_leases(&mut self, now: Now) {
        let leases = self.sessions.holders.iter();
        let ended = leases.filter(|(_, lease)| lease.until <= now.mono);
        let ended: Vec<Holder> = ended.map(|(holder, _)| holder.clone()).collect();
        for holder in ended {
            let Some(lease) = self.sessions.holders.remove(&holder) else {
                continue;
            };
            if let Some(session) = lease.session {
                self.sessions.open.remove(&session);
                self.effects.push(Effect::Close(session));
            }
            for uid in lease.held {
                self.apply(&uid, LifeEvent::LeaseEnded { by: holder.clone() }, now);
            }
        }
    }
}
