//! What a worker says of one attempt: its claim, its progress, its outcome.

use std::{io, sync::Arc};

use serde_json::{Map, Value};

use super::{Effect, Engine, Entry, Measure, Params, Request, ToWorker};
use crate::{
    admit::ResultCheck,
    api::Progress,
    ids::{AttemptId, Holder, Now, SessionId},
    life::{FailureClass, LifeEvent, Outcome, State},
    reason::Reason,
};

/// The largest result of a service whose file is gone, bytes: what no file may exceed.
const RESULT_MAX: usize = 256 * 1024;

impl Engine {
    pub(super) fn claimed(&mut self, id: SessionId, attempt: &AttemptId, now: Now) {
        let Some(by) = self.holder_of(id) else { return };
        let Some(request) = self.live(&attempt.uid) else {
            return self.refuse(id, attempt, "unknown");
        };
        let inline = matches!(request.params, Params::Inline(_));
        if let Some(why) = self.why_no_grant(id, attempt) {
            self.refuse(id, attempt, why);
            return self.unplaced(attempt, now);
        }
        if let Err(why) = self.may_start(attempt, now) {
            self.refuse(id, attempt, why.as_str());
            return self.apply(&attempt.uid, LifeEvent::Withdrawn, now);
        }
        let event = LifeEvent::Claimed {
            by,
            attempt: attempt.attempt,
            inline,
        };
        self.apply(&attempt.uid, event, now);
    }

    /// Why nothing can be granted now, whatever the request's state.
    fn why_no_grant(&self, id: SessionId, attempt: &AttemptId) -> Option<&'static str> {
        let (session, request) = (self.sessions.open.get(&id)?, self.live(&attempt.uid)?);
        if !session.takes(&request.service) {
            Some("not_your_service")
        } else if !request.owned {
            Some("not_ours_yet")
        } else if request.pending.is_some() {
            Some("service_missing")
        } else if self.draining {
            Some("shutting_down")
        } else if self.is_suspect(&request.address.source()) {
            Some("suspect")
        } else if self.sessions.has_stray(&attempt.uid) {
            Some("still_stopping")
        } else if self.is_key_held(&attempt.uid) {
            Some("key_held")
        } else if self.writes.held() > self.config.backlog_max {
            Some("backlog")
        } else {
            None
        }
    }

    /// Whether what was reserved may still be granted.
    fn may_grant(&self, attempt: &AttemptId) -> bool {
        let suspect = |request: &Request| self.is_suspect(&request.address.source());
        !self.draining
            && !self.sessions.has_stray(&attempt.uid)
            && !self.is_key_held(&attempt.uid)
            && !self.live(&attempt.uid).is_some_and(suspect)
    }

    fn refuse(&mut self, id: SessionId, attempt: &AttemptId, why: &'static str) {
        self.measure(Measure::Claim(why));
        self.effects
            .push(Effect::Send(id, ToWorker::Refusal(attempt.clone(), why)));
    }

    fn holder_of(&self, id: SessionId) -> Option<Holder> {
        self.sessions
            .open
            .get(&id)
            .map(|session| session.holder.clone())
    }

    /// The ticket of an offered attempt is spent: it is offered again a little later.
    pub(super) fn unplaced(&mut self, attempt: &AttemptId, now: Now) {
        if self
            .live(&attempt.uid)
            .is_some_and(|r| r.life.attempt() == attempt.attempt)
        {
            self.apply(&attempt.uid, LifeEvent::Unplaced, now);
        }
    }

    pub(super) fn params_read(&mut self, attempt: &AttemptId, params: Option<Arc<str>>, now: Now) {
        // Whoever asks for that attempt now can use them: parameters never change.
        let params = params.filter(|_| self.may_grant(attempt));
        let Some(request) = self.live_mut(&attempt.uid).filter(|request| {
            let reserved = matches!(request.life.state, State::Reserved { .. });
            reserved && request.life.attempt() == attempt.attempt
        }) else {
            return self.measure(Measure::Ignored("not_reserved"));
        };
        let ok = params.is_some();
        request.loaded = params;
        self.apply(&attempt.uid, LifeEvent::ParamsRead { ok }, now);
    }

    pub(super) fn progressed(
        &mut self,
        id: SessionId,
        attempt: &AttemptId,
        progress: Progress,
        now: Now,
    ) {
        if let Some(by) = self.holder_of(id) {
            let event = LifeEvent::Progressed {
                by,
                attempt: attempt.attempt,
                progress,
            };
            self.apply(&attempt.uid, event, now);
        }
    }

    pub(super) fn ended(&mut self, id: SessionId, attempt: &AttemptId, outcome: Outcome, now: Now) {
        let all_listed = self.all_listed();
        let outcome = self.fitted(attempt, outcome);
        let Some(session) = self.sessions.open.get_mut(&id) else {
            return;
        };
        let by = session.holder.clone();
        if let Some(lease) = self.sessions.holders.get_mut(&by) {
            lease.strays.remove(attempt);
        }
        match self.entries.get(&attempt.uid) {
            Some(Entry::Live(request)) => {
                let service = self.config.catalogue.get(&request.service);
                let check = service.and_then(|service| service.result_check.as_ref());
                let event = LifeEvent::Ended {
                    by,
                    attempt: attempt.attempt,
                    outcome: checked(outcome, check),
                };
                self.apply(&attempt.uid, event, now);
            }
            // The end is durable; whose it was is told by the attempt.
            Some(Entry::Finished(finished)) if finished.attempt == attempt.attempt => {
                self.effects
                    .push(Effect::Send(id, ToWorker::Recorded(attempt.clone())));
            }
            None if !all_listed => {
                if !session.keep_for_later(attempt, outcome) {
                    self.measure(Measure::Ignored("too_many_outcomes"));
                }
            }
            _ => {
                self.measure(Measure::Ignored("stale_outcome"));
                self.effects
                    .push(Effect::Send(id, ToWorker::Stale(attempt.clone())));
            }
        }
    }
    /// A worker checks its results before it sends them; that it did is not its own word to give.
    fn fitted(&self, attempt: &AttemptId, outcome: Outcome) -> Outcome {
        let Outcome::Succeeded {
            result: Some(result),
            ..
        } = &outcome
        else {
            return outcome;
        };
        let Some(request) = self.live(&attempt.uid) else {
            return outcome;
        };
        let service = self.config.catalogue.get(&request.service);
        let max = service.map_or(RESULT_MAX, |service| service.result_max_bytes as usize);
        let bytes = json_bytes(result);
        if bytes <= max {
            return outcome;
        }
        Outcome::Failed {
            class: FailureClass::Permanent,
            reason: Reason::ResultTooLarge,
            message: format!("the result has {bytes} bytes, more than {max}"),
        }
    }
}

/// So many bytes a result has in a status.
fn json_bytes(result: &Map<String, Value>) -> usize {
    struct Count(usize);

    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    // It came as JSON, so it can be written as JSON.
    let _infallible = serde_json::to_writer(&mut count, result);
    count.0
}

/// A result that is not what the service promises is a failure that another try does not mend: the work
/// was done. It is dropped here, so that nobody ever sees it.
fn checked(outcome: Outcome, check: Option<&ResultCheck>) -> Outcome {
    let (Outcome::Succeeded { result, .. }, Some(check)) = (&outcome, check) else {
        return outcome;
    };
    match check.check(result.as_ref()) {
        Ok(()) => outcome,
        Err(message) => Outcome::Failed {
            class: FailureClass::Permanent,
            reason: Reason::InvalidResult,
            message,
        },
    }
}
