//! What must hold in the world, whatever its parts believe.

use std::collections::BTreeMap;

use super::{super::*, LOST_MAX, action::Process, tale, world::World};
use crate::{api::Phase, life::Outcome, status};

/// What the workers said and suffered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Outcomes that workers reported.
    outcomes: BTreeMap<(Process, AttemptId), Outcome>,
    /// How often an attempt of a request may count as lost: its worker ended or fell silent for a lease,
    /// or its object was away.
    excuses: BTreeMap<Uid, u32>,
    /// The idempotency keys of requests, and their tenants.
    keys: BTreeMap<Uid, (usize, String)>,
    /// Claims that workers dropped with their streams; whether a leader has welcomed that worker since.
    dropped: Vec<(usize, Uid, bool)>,
    /// Until when a watcher may take an object for gone that was away.
    away: BTreeMap<Uid, Duration>,
}

// === impl Ledger ===

impl Ledger {
    /// Requests of one tenant with the same key ask for the same work.
    pub(super) fn asks(&mut self, uid: &Uid, spec: &RequestSpec) {
        if let Some(word) = spec.idempotency_key.clone() {
            let key = (uid.0.len() % 2, word);
            self.keys.insert(uid.clone(), key);
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn reported(&mut self, worker: Process, id: &AttemptId, outcome: &Outcome) {
        let key = (worker, id.clone());
        self.ledger.outcomes.insert(key, outcome.clone());
    }

    /// Whatever that worker holds may count as lost once, and what it claimed on its last stream.
    pub(super) fn excuse_losses(&mut self, worker: usize) {
        let dropped = self.ledger.dropped.iter();
        let its_own = dropped.filter(|(slot, _, welcome)| *slot == worker && !welcome);
        let dropped: Vec<Uid> = its_own.map(|(_, uid, _)| uid.clone()).collect();
        let held = self.held_by(worker).into_iter().map(|id| id.uid);
        for uid in held.chain(dropped) {
            self.excuse(&uid);
        }
    }

    pub(super) fn held_by(&self, worker: usize) -> Vec<AttemptId> {
        self.workers[worker].session.holds().cloned().collect()
    }

    /// What a worker does not claim any more. One that another leader granted may count as lost for the
    /// present one, and one that the present one granted for the next.
    pub(super) fn drops_claims(&mut self, worker: usize, held: &[AttemptId]) {
        let (holds, watcher) = (self.held_by(worker), self.workers[worker].watcher);
        let dropped = held.iter().filter(|id| !holds.contains(id));
        let leads = |slot: usize| self.watchers[slot].up && self.watchers[slot].engine.is_some();
        let leaders: Vec<usize> = (0..self.watchers.len()).filter(|s| leads(*s)).collect();
        let present = watcher.is_some_and(|w| self.is_watcher(w) && leaders == [w.slot]);
        for uid in dropped.map(|id| id.uid.clone()).collect::<Vec<_>>() {
            if !present {
                self.excuse(&uid);
            }
            self.ledger.dropped.push((worker, uid, false));
        }
    }

    pub(super) fn is_welcome(&mut self, worker: usize) {
        let dropped = self.ledger.dropped.iter_mut();
        let its_own = dropped.filter(|(slot, ..)| *slot == worker);
        its_own.for_each(|(.., welcome)| *welcome = true);
    }

    /// Another leader starts.
    pub(super) fn excuse_dropped_claims(&mut self) {
        for (_, uid, _) in std::mem::take(&mut self.ledger.dropped) {
            self.excuse(&uid);
        }
    }

    /// Its workspace is not bound, or it is deleted: a watcher hears of that some time.
    pub(super) fn is_away(&mut self, uid: &Uid, seconds: u64) {
        self.excuse(uid);
        let until = self.now + Duration::from_secs(seconds);
        let away = self.ledger.away.entry(uid.clone()).or_default();
        *away = until.max(*away);
    }

    pub(super) fn excuse(&mut self, uid: &Uid) {
        *self.ledger.excuses.entry(uid.clone()).or_default() += 1;
    }

    /// Never two runs of one request at a time.
    pub(super) fn check_start(&mut self, worker: Process, id: &AttemptId) {
        let spec = self.api.objects.get(&id.uid).map(|object| &object.spec);
        let retries = spec.and_then(|spec| spec.retries).unwrap_or_default();
        if spec.is_some() && id.attempt > retries + LOST_MAX + 1 {
            self.fail(Some(&id.uid), format!("{id} is one try too many"));
        }
        let key = self.ledger.keys.get(&id.uid);
        // A run whose object was away when its leader changed has no key that anybody knows of.
        let away = |uid: &Uid| {
            let until = self.ledger.away.get(uid);
            until.is_some_and(|until| self.now < *until)
        };
        let same_key = |uid: &Uid| {
            key.is_some() && self.ledger.keys.get(uid) == key && !away(uid) && !away(&id.uid)
        };
        let same = |uid: &Uid| *uid == id.uid || same_key(uid);
        let other = self.jobs.values().find(|job| same(&job.id.uid));
        if let Some(other) = other {
            let (here, there) = (tale::worker(worker), tale::worker(other.worker));
            let wrong = format!(
                "two runs at once: {id} starts on {here} while {} runs on {there}",
                other.id
            );
            self.fail(Some(&id.uid), wrong);
        }
    }

    /// What is promised is true when it is decided.
    pub(super) fn check_effects(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Publish { id, .. } => self.check_published(id),
                Effect::Send(session, ToWorker::Recorded(id)) => self.check_recorded(*session, id),
                Effect::Send(_, ToWorker::Cancel(id, "gone")) => self.check_gone(&id.uid),
                _ => {}
            }
        }
    }

    /// Nothing is stopped as gone that was there all the time.
    fn check_gone(&mut self, uid: &Uid) {
        let away = self.ledger.away.get(uid).copied().unwrap_or_default();
        if self.now >= away {
            self.fail(Some(uid), "it is taken for gone, but never was away".into());
        }
    }

    /// Counts are durable before the ticket of the next attempt.
    fn check_published(&mut self, id: &AttemptId) {
        let durable = self.api.next_attempt(&id.uid);
        if self.api.see(&id.uid).is_some() && durable < id.attempt {
            let wrong = format!("{id} is on offer, but the next durable attempt is {durable}");
            self.fail(Some(&id.uid), wrong);
        }
    }

    /// A worker forgets what is recorded, so the API must have it.
    fn check_recorded(&mut self, session: SessionId, id: &AttemptId) {
        let worker = self.stream(session).worker;
        let Some(status) = self.api.status(&id.uid) else {
            if self.api.objects.contains_key(&id.uid) {
                self.fail(Some(&id.uid), format!("{id} is recorded nowhere"));
            }
            return;
        };
        let ended = status::has_ended(status);
        let counted = status.failed + status.lost >= id.attempt;
        let told = match self.ledger.outcomes.get(&(worker, id.clone())) {
            Some(Outcome::Cancelled | Outcome::Interrupted) => {
                ended || counted || status.phase == Some(Phase::Queued)
            }
            Some(Outcome::Failed { class, .. }) if class.may_be_mended() => ended || counted,
            Some(_) => ended,
            None => false,
        };
        if !told {
            let wrong = format!("{id} is recorded, but the API has {status:?}");
            self.fail(Some(&id.uid), wrong);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let all_over = self.api.objects.values().all(super::api::Object::is_over);
        let idle = |worker: &super::worker::Worker| worker.session.holds().next().is_none();
        all_over && self.jobs.is_empty() && self.workers.iter().all(idle)
    }

    /// What an end tells is what happened.
    pub(super) fn check_end(&mut self, uid: &Uid) {
        let Some(object) = self
            .api
            .objects
            .get(uid)
            .filter(|_| self.api.has_ended(uid))
        else {
            return;
        };
        let (status, spec) = (object.status.clone().expect("it has ended"), &object.spec);
        let reason = status.conditions[0].reason.clone();
        let did = |what| self.finished.contains(&(uid.clone(), what));
        // Times of statuses are whole seconds.
        let age = self.now.saturating_sub(object.created) + Duration::from_secs(1);
        let over = |limit: Option<u32>| limit.is_some_and(|s| age >= Duration::from_secs(s.into()));
        let spent = status.failed == spec.retries.unwrap_or_default() + 1;
        let right = match (status.phase, reason.as_str()) {
            (Some(Phase::Rejected), "KeyReused" | "KeyInUse")
            | (Some(Phase::Cancelled), "Replaced") => spec.idempotency_key.is_some(),
            (Some(Phase::Succeeded), _) => did("succeeded"),
            (Some(Phase::Failed), "WorkerLost") => status.lost == LOST_MAX + 1,
            (Some(Phase::Failed), "DeadlineExceeded") => over(spec.deadline_seconds),
            (Some(Phase::Failed), "QueueTimeout") => {
                over(spec.queue_timeout_seconds) && status.first_start_time.is_none()
            }
            (Some(Phase::Failed), "JobFailed") => {
                did("failed") || (did("failed, retryable") && spent)
            }
            (Some(Phase::Cancelled), _) => spec.cancel == Some(true),
            _ => false,
        };
        let right = right || self.shares_end(&status);
        let excuses = self.ledger.excuses.get(uid).copied().unwrap_or_default();
        self.ends.insert(reason);
        if !right {
            self.fail(Some(uid), format!("this end is a lie: {status:?}"));
        } else if status.lost > excuses {
            let lost = status.lost;
            let wrong = format!("{lost} attempts count as lost, but at most {excuses} were");
            self.fail(Some(uid), wrong);
        }
    }

    /// It ends as the request that it is attached to, as far as that one is still there.
    fn shares_end(&self, status: &RequestStatus) -> bool {
        let primary = status.attached_to.as_deref().map(Uid::new);
        primary.is_some_and(|primary| {
            let told = self.api.status(&primary);
            told.is_none_or(|told| told.phase == status.phase)
        })
    }

    /// A request is deleted only so long after its end.
    pub(super) fn check_deletion(&mut self, uid: &Uid) {
        let Some(object) = self.api.objects.get(uid) else {
            return;
        };
        let ttl = object.spec.ttl_seconds_after_finished;
        let ended = object.status.as_ref().and_then(|s| s.completion_time);
        let (now, ttl) = (at(self.now).wall.as_second(), ttl.map(i64::from));
        let due = ended.zip(ttl).map(|(ended, ttl)| ended.as_second() + ttl);
        if due.is_none_or(|due| now < due) {
            self.fail(Some(uid), "it is deleted before its time".into());
        }
    }

    /// Nobody is busy for nothing.
    pub(super) fn check_wakes(&mut self) {
        let seconds = u32::try_from(self.now.as_secs()).unwrap();
        let wakes: u32 = self.watchers.iter().map(|watcher| watcher.wakes).sum();
        if wakes > seconds * 10 {
            self.fail(None, format!("{wakes} wake-ups in {seconds} s"));
        }
    }
}
