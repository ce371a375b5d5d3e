//! What workers say of an attempt, and what their silence says.

use std::time::Duration;

use super::{
    Policy, Step, finish, finish_with, object::word, remember, save, start, stopped, wait,
};
use crate::{
    api::Progress,
    ids::{Holder, Now},
    life::{Act, Done, End, FailureClass, Ignored, Life, Outcome, Reported, State, Stop},
    reason::Reason,
};

pub(super) fn progressed(life: &mut Life, by: &Holder, attempt: u32, progress: Progress) -> Step {
    match &life.state {
        State::Running { by: holder } if holder == by && attempt == life.attempt() => {}
        _ => return Err(Ignored("foreign_progress")),
    }
    if life.progress.as_ref() == Some(&progress) {
        return Err(Ignored("same_progress"));
    }
    life.progress = Some(progress);
    Ok(vec![Act::Save])
}

pub(super) fn ended(
    life: &mut Life,
    by: Holder,
    attempt: u32,
    outcome: Outcome,
    policy: Policy,
    now: Now,
) -> Step {
    let current = attempt == life.attempt();
    match &life.state {
        State::Running { by: holder }
        | State::Stopping {
            by: holder,
            back: true,
        } if current && *holder == by => Ok(apply_outcome(life, by, outcome, policy, now)),
        State::Recovering if may_adopt(life, &by, attempt) => {
            adopt(life, by.clone(), now);
            Ok(apply_outcome(life, by, outcome, policy, now))
        }
        State::Done(Done {
            by: Some(outcome),
            written: true,
            ..
        }) if outcome.is(&by, attempt) => Ok(vec![Act::Record(by, attempt)]),
        // Sent again: it is answered once, when it is durable.
        State::Done(Done {
            by: Some(outcome), ..
        })
        | State::Saving {
            record: Some(outcome),
            ..
        } if outcome.is(&by, attempt) => Err(Ignored("outcome_pending")),
        State::Stopping { by: holder, .. } if current && *holder == by => {
            Ok(vec![Act::Stale(by, attempt), Act::Forget])
        }
        _ => Ok(vec![Act::Stale(by, attempt)]),
    }
}

fn apply_outcome(
    life: &mut Life,
    by: Holder,
    outcome: Outcome,
    policy: Policy,
    now: Now,
) -> Vec<Act> {
    let attempt = life.attempt();
    let by = Some(Reported { by, attempt });
    match (outcome, life.stop) {
        // The work happened, so it is told, even when it was to be stopped.
        (Outcome::Succeeded { result, artifacts }, _) => {
            finish(life, End::Succeeded { result, artifacts }, by, now)
        }
        (_, Some(why)) => finish(life, stopped(why), by, now),
        // Its clock was not looked at yet, as after a restart.
        (_, None) if policy.dues.deadline.is_some_and(|due| due <= now.mono) => {
            finish(life, stopped(Stop::Deadline), by, now)
        }
        // The worker's clock was first, as it may be when this machine's was set back.
        (
            Outcome::Failed {
                class: FailureClass::Deadline,
                ..
            },
            None,
        ) => finish(life, stopped(Stop::Deadline), by, now),
        (
            Outcome::Failed {
                class,
                reason,
                message,
            },
            None,
        ) => {
            life.failed = life.failed.saturating_add(1);
            if life.failed > policy.retries || !class.may_be_mended() {
                let end = End::Failed { reason, message };
                return finish_with(life, end, attempt, by, now);
            }
            remember(life, attempt, reason, &message, now);
            save(life, by, policy.backoff.pause(life.failed))
        }
        (Outcome::Cancelled | Outcome::Interrupted, None) => {
            remember(life, attempt, Reason::Interrupted, "", now);
            save(life, by, Duration::ZERO)
        }
    }
}

pub(super) fn greeted(life: &mut Life, by: Holder, attempt: u32, now: Now) -> Step {
    let current = attempt == life.attempt();
    match &life.state {
        State::Recovering if may_adopt(life, &by, attempt) => {
            adopt(life, by.clone(), now);
            let mut acts = vec![Act::Save];
            acts.extend(life.stop.map(|why| Act::Stop(by, attempt, word(why))));
            Ok(acts)
        }
        State::Running { by: holder } if current && *holder == by => {
            let why = life.stop.ok_or(Ignored("still_running"))?;
            Ok(vec![Act::Stop(by, attempt, word(why))])
        }
        State::Stopping { by: holder, .. } if current && *holder == by => {
            Ok(vec![Act::Stop(by, attempt, "gone")])
        }
        State::Done(Done {
            by: Some(outcome), ..
        })
        | State::Saving {
            record: Some(outcome),
            ..
        } if outcome.is(&by, attempt) => Err(Ignored("outcome_pending")),
        _ => Ok(vec![Act::Stop(by, attempt, "foreign")]),
    }
}

/// Whether an inherited request is what that worker has: the status names it, or nobody yet.
fn may_adopt(life: &Life, by: &Holder, attempt: u32) -> bool {
    attempt == life.attempt() && life.worker.as_ref().is_none_or(|name| *name == by.worker)
}

fn adopt(life: &mut Life, by: Holder, now: Now) {
    let (started, progress) = (life.started, life.progress.take());
    life.first_started = life.first_started.or(started);
    start(life, by, now);
    life.started = started.or(life.started);
    life.progress = progress;
}

pub(super) fn missing(life: &mut Life, by: &Holder, policy: Policy, now: Now) -> Step {
    match &life.state {
        State::Reserved { by: holder } if holder == by => Ok(wait(life, policy, Act::Enqueue)),
        State::Running { by: holder } if holder == by => Ok(void(life, now)),
        State::Stopping {
            by: holder,
            back: true,
        } if holder == by => Ok(void(life, now)),
        State::Stopping {
            by: holder,
            back: false,
        } if holder == by => Ok(vec![Act::Forget]),
        _ => Err(Ignored("not_held")),
    }
}

/// The claim counts as never granted.
fn void(life: &mut Life, now: Now) -> Vec<Act> {
    if let Some(why) = life.stop {
        return finish(life, stopped(why), None, now);
    }
    if life.attempt() == 1 && life.past.is_empty() {
        life.first_started = None;
    }
    save(life, None, Duration::ZERO)
}

pub(super) fn lease_ended(life: &mut Life, by: &Holder, policy: Policy, now: Now) -> Step {
    match &life.state {
        State::Running { by: holder } if holder == by => Ok(lost(life, policy, now)),
        _ => missing(life, by, policy, now),
    }
}

pub(super) fn lost(life: &mut Life, policy: Policy, now: Now) -> Vec<Act> {
    if let Some(why) = life.stop {
        return finish(life, stopped(why), None, now);
    }
    let attempt = life.attempt();
    let worker = life.worker.as_deref().unwrap_or("unknown");
    life.lost = life.lost.saturating_add(1);
    let (reason, lost) = (Reason::WorkerLost, life.lost);
    if lost > policy.lost_max {
        let message =
            format!("{lost} attempts were lost with their workers, the last with {worker}");
        return finish_with(life, End::Failed { reason, message }, attempt, None, now);
    }
    remember(life, attempt, reason, "its worker fell silent", now);
    save(life, None, Duration::ZERO)
}
