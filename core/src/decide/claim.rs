//! From waiting to running: tickets and claims.

use super::{Policy, Step, finish, start, wait};
use crate::{
    ids::{Holder, Now, Uid},
    life::{Act, End, Ignored, Life, State},
};

pub(super) fn offer(life: &mut Life, now: Now) -> Step {
    match life.state {
        State::Waiting => {
            life.state = State::Offered { since: now.mono };
            Ok(vec![Act::Publish])
        }
        _ => Err(Ignored("not_waiting")),
    }
}

/// Its ticket is spent or worth nothing.
pub(super) fn back(life: &mut Life, policy: Policy, enqueue: Act) -> Step {
    match life.state {
        State::Offered { .. } => Ok(wait(life, policy, enqueue)),
        _ => Err(Ignored("not_offered")),
    }
}

pub(super) fn unclaimed(life: &mut Life, now: Now) -> Step {
    match life.state {
        State::Offered { .. } => {
            life.state = State::Offered { since: now.mono };
            Ok(vec![Act::Publish])
        }
        _ => Err(Ignored("not_offered")),
    }
}

pub(super) fn claimed(
    life: &mut Life,
    by: Holder,
    attempt: u32,
    inline: bool,
    now: Now,
) -> Vec<Act> {
    let why_not = match &life.state {
        _ if attempt != life.attempt() => Some("other_attempt"),
        State::Waiting | State::Offered { .. } => None,
        State::Recovering => Some("taking_over"),
        State::Saving { .. } => Some("not_durable"),
        State::Backoff { .. } => Some("pausing"),
        State::Behind { .. } => Some("behind"),
        State::Reserved { .. } | State::Running { .. } => Some("held"),
        State::Stopping { .. } => Some("gone"),
        State::Done(_) => Some("done"),
    };
    if let Some(why) = why_not {
        return vec![Act::Refuse(by, attempt, why)];
    }
    if inline {
        return grant(life, by, now);
    }
    life.state = State::Reserved { by };
    vec![Act::ReadParams]
}

pub(super) fn params_read(life: &mut Life, ok: bool, policy: Policy, now: Now) -> Step {
    let State::Reserved { by } = &life.state else {
        return Err(Ignored("not_reserved"));
    };
    let by = by.clone();
    if ok {
        return Ok(grant(life, by, now));
    }
    let mut acts = vec![Act::Refuse(by, life.attempt(), "params_unreadable")];
    acts.extend(wait(life, policy, Act::EnqueueLater));
    Ok(acts)
}

fn grant(life: &mut Life, by: Holder, now: Now) -> Vec<Act> {
    start(life, by.clone(), now);
    vec![Act::Grant(by), Act::Save]
}

pub(super) fn behind(life: &mut Life, earlier: Uid, attached: bool) -> Step {
    let spoken_for = life.worker.is_some() || life.stop.is_some();
    match life.state {
        State::Waiting | State::Recovering | State::Behind { .. } if !spoken_for => {
            life.state = State::Behind { earlier, attached };
            Ok(vec![Act::Save])
        }
        _ => Err(Ignored("under_way")),
    }
}

pub(super) fn free(life: &mut Life, policy: Policy) -> Step {
    match life.state {
        State::Behind { .. } => {
            let mut acts = wait(life, policy, Act::Enqueue);
            acts.push(Act::Save);
            Ok(acts)
        }
        _ => Err(Ignored("not_behind")),
    }
}

pub(super) fn shared(life: &mut Life, end: End, now: Now) -> Step {
    match life.state {
        State::Behind { attached: true, .. } => Ok(finish(life, end, None, now)),
        _ => Err(Ignored("not_attached")),
    }
}
