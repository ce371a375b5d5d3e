//! What workers say of an attempt, and what their silence says.

use super::{Policy, Step, finish, save, start, wait};
use crate::{
    api::Progress,
    ids::{Holder, Now},
    life::{Act, Done, End, Ignored, Life, Outcome, State},
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

pub(super) fn ended(life: &mut Life, by: Holder, attempt: u32, outcome: Outcome, now: Now) -> Step {
    let current = attempt == life.attempt();
    match &life.state {
        State::Running { by: holder }
        | State::Stopping {
            by: holder,
            back: true,
        } if current && *holder == by => Ok(apply_outcome(life, by, outcome, now)),
        State::Recovering if may_adopt(life, &by, attempt) => {
            adopt(life, by.clone(), now);
            Ok(apply_outcome(life, by, outcome, now))
        }
        State::Done(Done {
            by: Some(holder),
            written: true,
            ..
        }) if current && *holder == by => Ok(vec![Act::Record(by, attempt)]),
        // Sent again: it is answered once, when it is durable.
        State::Done(Done {
            by: Some(holder), ..
        })
        | State::Saving {
            record: Some(holder),
        } if current && *holder == by => Err(Ignored("outcome_pending")),
        State::Stopping { by: holder, .. } if current && *holder == by => {
            Ok(vec![Act::Stale(by, attempt), Act::Forget])
        }
        _ => Ok(vec![Act::Stale(by, attempt)]),
    }
}

fn apply_outcome(life: &mut Life, by: Holder, outcome: Outcome, now: Now) -> Vec<Act> {
    let end = match outcome {
        // The work happened, so it is told, even when a cancel was on its way.
        Outcome::Succeeded { result, artifacts } => End::Succeeded { result, artifacts },
        _ if life.cancel => End::Cancelled,
        Outcome::Failed {
            reason, message, ..
        } => {
            life.failed = life.failed.saturating_add(1);
            End::Failed { reason, message }
        }
        Outcome::Cancelled | Outcome::Interrupted => return save(life, Some(by)),
    };
    finish(life, end, Some(by), now)
}

pub(super) fn greeted(life: &mut Life, by: Holder, attempt: u32, now: Now) -> Step {
    let current = attempt == life.attempt();
    match &life.state {
        State::Recovering if may_adopt(life, &by, attempt) => {
            adopt(life, by.clone(), now);
            let mut acts = vec![Act::Save];
            acts.extend(life.cancel.then_some(Act::Stop(by, attempt, "cancelled")));
            Ok(acts)
        }
        State::Running { by: holder } if current && *holder == by => {
            if life.cancel {
                Ok(vec![Act::Stop(by, attempt, "cancelled")])
            } else {
                Err(Ignored("still_running"))
            }
        }
        State::Stopping { by: holder, .. } if current && *holder == by => {
            Ok(vec![Act::Stop(by, attempt, "gone")])
        }
        State::Done(Done {
            by: Some(holder), ..
        })
        | State::Saving {
            record: Some(holder),
        } if current && *holder == by => Err(Ignored("outcome_pending")),
        _ => Ok(vec![Act::Stop(by, attempt, "foreign")]),
    }
}

/// Whether an inherited request is what that worker has: the status names it, or nobody yet.
fn may_adopt(life: &Life, by: &Holder, attempt: u32) -> bool {
    attempt == life.attempt() && life.worker.as_ref().is_none_or(|name| *name == by.worker)
}

fn adopt(life: &mut Life, by: Holder, now: Now) {
    let (started, progress) = (life.started, life.progress.take());
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
    if life.cancel {
        return finish(life, End::Cancelled, None, now);
    }
    save(life, None)
}

pub(super) fn lease_ended(life: &mut Life, by: &Holder, policy: Policy, now: Now) -> Step {
    match &life.state {
        State::Running { by: holder } if holder == by => Ok(lost(life, policy, now)),
        _ => missing(life, by, policy, now),
    }
}

fn lost(life: &mut Life, policy: Policy, now: Now) -> Vec<Act> {
    if life.cancel {
        return finish(life, End::Cancelled, None, now);
    }
    life.lost = life.lost.saturating_add(1);
    if life.lost > policy.lost_max {
        let worker = life.worker.as_deref().unwrap_or("unknown");
        let lost = life.lost;
        let message =
            format!("{lost} attempts were lost with their workers, the last with {worker}");
        return finish(
            life,
            End::Failed {
                reason: Reason::WorkerLost,
                message,
            },
            None,
            now,
        );
    }
    save(life, None)
}

pub(super) fn takeover_ended(life: &mut Life, policy: Policy, now: Now) -> Step {
    if life.state != State::Recovering {
        return Err(Ignored("not_recovering"));
    }
    if life.worker.is_some() {
        return Ok(lost(life, policy, now));
    }
    if life.cancel {
        return Ok(finish(life, End::Cancelled, None, now));
    }
    life.state = State::Waiting;
    Ok(vec![Act::Enqueue, Act::Save])
}
