//! What is started after every event, as far as windows and slots allow: tickets and status writes.
//! And what only the passing of time brings about.

use std::time::Duration;

use super::{Effect, Engine, Write, request::Shown};
use crate::{
    ids::{Now, Source, Uid},
    life::LifeEvent,
    status,
    writes::Urgency,
};

/// A ticket that nobody claimed for so long is published again when a session has a free slot for it.
const UNCLAIMED: Duration = Duration::from_secs(30);
/// How often that is looked at.
const UNCLAIMED_CHECK: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn pump(&mut self, now: Now) {
        // Writes first: what is durable already can be offered at once.
        loop {
            self.follow_keys(now);
            self.start_writes(now);
            if !self.has_verdicts() {
                break;
            }
        }
        self.delete_expired(now);
        if !self.draining {
            self.start_reads(now);
            self.publish_tickets(now);
        }
    }

    /// When time alone can change something.
    #[must_use]
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        if self.has_stepped_down() {
            return None;
        }
        let delayed = self.delayed.first().map(|(due, _)| *due);
        let oldest = self.offered.first().filter(|_| self.sessions.any_idle());
        let unclaimed = oldest.map(|(since, _)| (*since + UNCLAIMED).max(now + UNCLAIMED_CHECK));
        let (takeover, dropped) = (self.takeover_at(), self.drop_at());
        let (lease, write) = (self.sessions.wake_at(), self.writes.wake_at(now));
        let read = self.read_at(now);
        let (clock, expiry, leader) = (self.clocks.first(), self.expiry_at(now), self.lease_at());
        let turn = self.schedule.wake_at(now).filter(|_| !self.draining);
        let own = [takeover, delayed, unclaimed, dropped, clock, turn];
        let all = own.into_iter().chain([lease, write, expiry, read, leader]);
        all.flatten().min()
    }

    /// Time passed.
    pub(super) fn wake(&mut self, now: Now) {
        self.end_leases(now);
        self.end_takeover(now);
        self.drop_vanished(now);
        self.clocks_run_out(now);
        while let Some((due, uid)) = self
            .delayed
            .first()
            .cloned()
            .filter(|(due, _)| *due <= now.mono)
        {
            self.delayed.remove(&(due, uid.clone()));
            self.line_up(&uid);
        }
        self.publish_unclaimed_again(now);
    }

    /// After a reconnect any ticket may have been lost.
    pub(super) fn publish_all_again(&mut self, now: Now) {
        let offered: Vec<Uid> = self.offered.iter().map(|(_, uid)| uid.clone()).collect();
        for uid in offered {
            self.apply(&uid, LifeEvent::Unclaimed, now);
        }
    }

    /// Old tickets that nobody claims though a worker sits idle.
    fn publish_unclaimed_again(&mut self, now: Now) {
        let old = |since: Duration| since + UNCLAIMED <= now.mono;
        let offered = self.offered.iter().take_while(|(since, _)| old(*since));
        let idle = |uid: &Uid| {
            self.live(uid)
                .is_some_and(|r| self.sessions.idle_for(&r.service))
        };
        let lost: Vec<Uid> = offered.map(|(_, uid)| uid.clone()).filter(idle).collect();
        for uid in lost {
            self.apply(&uid, LifeEvent::Unclaimed, now);
        }
    }

    /// One after the other: where the API shows already what was to be written, the slot is free again,
    /// and nothing but this asks for it.
    fn start_writes(&mut self, now: Now) {
        loop {
            let sources = &self.sources;
            let stopped = |source: &Source| sources.get(source).is_some_and(|lists| lists.suspect);
            let Some((uid, urgency)) = self.writes.start(now.mono, stopped) else {
                return;
            };
            self.start_write(uid, urgency, now);
        }
    }

    fn start_write(&mut self, uid: Uid, urgency: Urgency, now: Now) {
        self.mirror(&uid);
        let waiting_for = self.live(&uid).and_then(|r| self.waiting_for(r));
        let request = self.live_mut(&uid).expect("what is dirty is live");
        request.writing = request.revision;
        let status = request.wanted_status(waiting_for);
        if request
            .shown
            .as_ref()
            .is_some_and(|shown| shown.is(&status))
        {
            return self.landed(&uid, now);
        }
        let ours = request.controller.as_ref();
        request.sent = (!status::has_ended(&status)).then(|| Shown::of(&status, ours));
        let news = request.is_news(&status);
        let write = Write {
            address: request.address.clone(),
            resource_version: request.resource_version.clone(),
            status,
            service: request.service.clone(),
            idempotency_key: request.idempotency_key.clone(),
            uid,
            urgency,
            news,
            trace: request.trace.clone(),
            queued: request.life.queued,
        };
        self.effects.push(Effect::Write(Box::new(write)));
    }
}
