//! What happens to the object: cancelled, gone, back, written by us or by others.

use super::{Policy, Step, finish, wait};
use crate::{
    ids::Now,
    life::{Act, Done, End, Ignored, Life, Moment, State},
};

pub(super) fn cancel(life: &mut Life, now: Now) -> Step {
    if life.cancel || matches!(life.state, State::Done(_)) {
        return Err(Ignored("cancelled_or_done"));
    }
    life.cancel = true;
    let attempt = life.attempt();
    match &life.state {
        State::Recovering => Ok(vec![Act::Save]),
        State::Stopping { .. } | State::Done(_) => Ok(vec![]),
        State::Running { by } => Ok(vec![Act::Stop(by.clone(), attempt, "cancelled"), Act::Save]),
        State::Waiting | State::Offered { .. } => Ok(finish(life, End::Cancelled, None, now)),
        State::Saving { record } => {
            let record = record.clone();
            Ok(finish(life, End::Cancelled, record, now))
        }
        State::Reserved { by } => {
            let mut acts = vec![Act::Refuse(by.clone(), "cancelled")];
            acts.extend(finish(life, End::Cancelled, None, now));
            Ok(acts)
        }
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
        State::Reserved { by } => vec![Act::Refuse(by.clone(), "gone"), Act::Forget],
        State::Saving { record: Some(by) }
        | State::Done(Done {
            by: Some(by),
            written: false,
            ..
        }) => {
            vec![Act::Stale(by.clone(), attempt), Act::Forget]
        }
        _ => vec![Act::Forget],
    }
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

pub(super) fn written(life: &mut Life, policy: Policy) -> Step {
    let attempt = life.attempt();
    match &mut life.state {
        State::Saving { record } => {
            let record = record.take();
            let mut acts = wait(life, policy, Act::Enqueue);
            acts.extend(record.map(|by| Act::Record(by, attempt)));
            Ok(acts)
        }
        State::Done(done) if !done.written => {
            done.written = true;
            Ok(done
                .by
                .iter()
                .map(|by| Act::Record(by.clone(), attempt))
                .collect())
        }
        _ => Err(Ignored("written")),
    }
}

pub(super) fn foreign_end(life: &mut Life, now: Now) -> Step {
    let attempt = life.attempt();
    let act = match &life.state {
        State::Running { by } => Some(Act::Stop(by.clone(), attempt, "ended_elsewhere")),
        State::Reserved { by } => Some(Act::Refuse(by.clone(), "done")),
        State::Saving { record: Some(by) }
        | State::Done(Done {
            by: Some(by),
            written: false,
            ..
        }) => Some(Act::Stale(by.clone(), attempt)),
        State::Done(Done { written: true, .. }) => return Err(Ignored("done")),
        // What stops already needs no second word.
        _ => None,
    };
    let at = Moment::at(now);
    life.state = State::Done(Done {
        end: End::Foreign,
        at,
        by: None,
        written: true,
    });
    Ok(act.into_iter().collect())
}
