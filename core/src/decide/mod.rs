//! The transitions of one request: a pure function of its life, an event and the time.
//!
//! | state      | goes to                                                                             |
//! |------------|-------------------------------------------------------------------------------------|
//! | Recovering | Running (greeted), Waiting or Saving (take-over ended), Done                        |
//! | Waiting    | Offered (its turn), Reserved/Running (an old ticket was claimed), Done (cancelled)  |
//! | Saving     | Waiting (written; Recovering during a take-over), Done (cancelled)                  |
//! | Offered    | Waiting (ticket spent), Reserved/Running (claimed), Done (cancelled)                |
//! | Reserved   | Running (parameters read), Waiting (not read, claimant gone), Done (cancelled)      |
//! | Running    | Done (outcome), Saving (lost, interrupted, claim void), Stopping (object gone)      |
//! | Stopping   | forgotten; Saving or Done when the object came back                                 |
//! | Done       | nothing                                                                             |
//!
//! Only the holder of the current attempt can end it: a report with another fence is answered with
//! `Stale` and changes nothing. Every way out of Running that keeps the request live leads through
//! Saving: no status names the earlier worker when the next one is granted a claim, so after a restart
//! the status tells which greeting to believe.

mod claim;
mod object;
mod report;
#[cfg(test)]
mod tests;

use crate::{
    ids::{Holder, Now},
    life::{Act, Done, End, Ignored, Life, LifeEvent, Moment, State},
};

/// What the transitions depend on besides state, event and time.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// So many lost attempts are tried again; the next loss fails the request.
    pub lost_max: u32,
    /// The request is inherited and the period in which nothing of the kind is granted goes on.
    pub taking_over: bool,
}

type Step = Result<Vec<Act>, Ignored>;

/// Applies one event.
///
/// # Errors
/// [`Ignored`] when the event means nothing in this state; the life is unchanged then.
pub fn decide(life: &mut Life, event: LifeEvent, policy: Policy, now: Now) -> Step {
    match event {
        LifeEvent::Offer => claim::offer(life, now),
        LifeEvent::Unplaced => claim::unplaced(life, policy),
        LifeEvent::Unclaimed => claim::unclaimed(life, now),
        LifeEvent::Claimed {
            by,
            attempt,
            inline,
        } => Ok(claim::claimed(life, by, attempt, inline, now)),
        LifeEvent::ParamsRead { ok } => claim::params_read(life, ok, policy, now),
        LifeEvent::Progressed {
            by,
            attempt,
            progress,
        } => report::progressed(life, &by, attempt, progress),
        LifeEvent::Ended {
            by,
            attempt,
            outcome,
        } => report::ended(life, by, attempt, outcome, now),
        LifeEvent::Greeted { by, attempt } => report::greeted(life, by, attempt, now),
        LifeEvent::Missing { by } => report::missing(life, &by, policy, now),
        LifeEvent::LeaseEnded { by } => report::lease_ended(life, &by, policy, now),
        LifeEvent::TakeoverEnded => report::takeover_ended(life, policy, now),
        LifeEvent::Cancel => object::cancel(life, now),
        LifeEvent::Gone => Ok(object::gone(life)),
        LifeEvent::Seen => object::seen(life),
        LifeEvent::Written => object::written(life, policy),
        LifeEvent::ForeignEnd => object::foreign_end(life, now),
    }
}

fn start(life: &mut Life, by: Holder, now: Now) {
    life.worker = Some(by.worker.clone());
    life.started = Some(Moment::at(now));
    life.progress = None;
    life.state = State::Running { by };
}

fn finish(life: &mut Life, end: End, by: Option<Holder>, now: Now) -> Vec<Act> {
    if matches!(end, End::Succeeded { .. }) {
        life.progress = None;
    }
    life.state = State::Done(Done {
        end,
        at: Moment::at(now),
        by,
        written: false,
    });
    vec![Act::SaveNow]
}

/// It will run again, once that is durable.
fn save(life: &mut Life, record: Option<Holder>) -> Vec<Act> {
    (life.started, life.worker, life.progress) = (None, None, None);
    life.state = State::Saving { record };
    vec![Act::SaveNow]
}

/// It waits for its turn, which comes after the take-over.
fn wait(life: &mut Life, policy: Policy, enqueue: Act) -> Vec<Act> {
    if policy.taking_over {
        life.state = State::Recovering;
        return vec![];
    }
    life.state = State::Waiting;
    vec![enqueue]
}
