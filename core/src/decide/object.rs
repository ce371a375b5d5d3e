//! What happens to the object: stopped, gone, back, written by us or by others.

use super::{
    Policy, Step,
    clock::{end_unheld, takeover_ended},
    stopped, wait,
};
use crate::{
    ids::Now,
    life::{Act, Done, End, Ignored, Life, Moment, Reported, State, Stop},
};

pub(super) fn stop(life: &mut Life, why: Stop, now: Now) -> Step {
    if life.stop.is_some() || matches!(life.state, State::Done(_)) {
        return Err(Ignored("stopped_or_done"));
    }
    life.stop = Some(why);
    let attempt = life.attempt();
    match &life.state {
        State::Recovering => Ok(vec![Act::Save]),
        State::Stopping { .. } => Ok(vec![]),
        State::Running { by } => Ok(vec![Act::Stop(by.clone(), attempt, word(why)), Act::Save]),
        _ => Ok(end_unheld(life, stopped(why), now)),
    }
}

/// What a worker is told of it.
pub(super) fn word(why: Stop) -> &'static str {
    match why {
        Stop::Cancelled => "cancelled",
        Stop::Replaced => "replaced",
        Stop::Deadline => "deadline",
    }
}

pub(super) fn gone(life: &mut Life) -> Vec<Act> {
    let attempt = life.attempt();
    match &mut life.state {
        State::Running { by } => {
            let by = by.clone();
            life.state = State::Stopping {
                by: by.clone(),
                back: false,
            };
            vec![Act::Stop(by, attempt, "gone")]
        }
        State::Stopping { back, .. } => {
            *back = false;
            vec![]
        }
        State::Reserved { by } => {
            vec![Act::Refuse(by.clone(), attempt, "gone"), Act::Forget]
        }
        State::Saving {
            record: Some(outcome),
            ..
        }
        | State::Done(Done {
            by: Some(outcome),
            written: false,
            ..
        }) => vec![stale(outcome), Act::Forget],
        _ => vec![Act::Forget],
    }
}

fn stale(outcome: &Reported) -> Act {
    Act::Stale(outcome.by.clone(), outcome.attempt)
}

fn recorded(outcome: Reported) -> Act {
    Act::Record(outcome.by, outcome.attempt)
}

pub(super) fn seen(life: &mut Life) -> Step {
    match &mut life.state {
        State::Stopping { back, .. } if !*back => {
            *back = true;
            Ok(vec![])
        }
        _ => Err(Ignored("known")),
    }
}

pub(super) fn written(life: &mut Life, policy: Policy, now: Now) -> Step {
    match &mut life.state {
        State::Saving { record, pause } => {
            let (record, pause) = (record.take(), *pause);
            let mut acts = if pause.is_zero() {
                wait(life, policy, Act::Enqueue)
            } else {
                let until = now.mono + pause;
                life.state = State::Backoff { until };
                vec![]
            };
            acts.extend(record.map(recorded));
            Ok(acts)
        }
        State::Done(done) if !done.written => {
            done.written = true;
            Ok(done.by.clone().map(recorded).into_iter().collect())
        }
        _ => Err(Ignored("written")),
    }
}

pub(super) fn foreign_end(life: &mut Life, now: Now) -> Step {
    let attempt = life.attempt();
    let act = match &life.state {
        State::Running { by } => Some(Act::Stop(by.clone(), attempt, "ended_elsewhere")),
        State::Reserved { by } => Some(Act::Refuse(by.clone(), attempt, "done")),
        State::Saving {
            record: Some(outcome),
            ..
        }
        | State::Done(Done {
            by: Some(outcome),
            written: false,
            ..
        }) => Some(stale(outcome)),
        State::Done(Done { written: true, .. }) => return Err(Ignored("done")),
        // What stops already needs no second word.
        _ => None,
    };
    let at = Moment::at(now);
    life.state = State::Done(Done {
        end: End::Foreign,
        at,
        attempt,
        by: None,
        written: true,
    });
    Ok(act.into_iter().collect())
}

/// What another watcher counted is durable, so it is where this one goes on from. A run of ours is of
/// an attempt that is over then.
pub(super) fn overtaken(life: &mut Life, found: Life, policy: Policy, now: Now) -> Step {
    if found.failed <= life.failed && found.lost <= life.lost {
        return Err(Ignored("counted"));
    }
    let attempt = life.attempt();
    let (failed, lost) = (life.failed.max(found.failed), life.lost.max(found.lost));
    let mut acts = match &life.state {
        State::Done(Done { written: true, .. }) => return Err(Ignored("done")),
        // The end was decided; its status tells the larger counts.
        State::Done(_) => {
            (life.failed, life.lost) = (failed, lost);
            return Ok(vec![]);
        }
        State::Running { by } | State::Stopping { by, .. } => {
            vec![Act::Stop(by.clone(), attempt, "foreign")]
        }
        State::Reserved { by } => vec![Act::Refuse(by.clone(), attempt, "other_attempt")],
        State::Saving {
            record: Some(outcome),
            ..
        } => vec![stale(outcome)],
        _ => vec![],
    };
    *life = Life {
        state: State::Recovering,
        failed,
        lost,
        stop: life.stop.or(found.stop),
        queued: life.queued,
        first_started: life.first_started.or(found.first_started),
        ..found
    };
    if !policy.taking_over {
        acts.extend(takeover_ended(life, policy, now)?);
    }
    Ok(acts)
}
