//! The transitions of one request: a pure function of its life, an event and the time.
//!
//! | state      | goes to                                                                             |
//! |------------|-------------------------------------------------------------------------------------|
//! | Recovering | Running (greeted), Waiting, Backoff, Behind or Saving (take-over ended), Done       |
//! | Waiting    | Offered (its turn), Reserved/Running (an old ticket was claimed), Behind, Done      |
//! | Saving     | Waiting or Backoff (written; Recovering during a take-over), Done                   |
//! | Backoff    | Waiting (the pause ended), Done (stopped, a clock ran out)                          |
//! | Behind     | Waiting (free), Done (the earlier one ended, stopped, a clock ran out)              |
//! | Offered    | Waiting (ticket spent), Reserved/Running (claimed), Done                            |
//! | Reserved   | Running (parameters read), Waiting (not read, claimant gone), Done                  |
//! | Running    | Done (outcome), Saving (failed, lost, interrupted, claim void), Stopping (gone)     |
//! | Stopping   | forgotten; Saving or Done when the object came back                                 |
//! | Done       | nothing                                                                             |
//!
//! Only the holder of the current attempt can end it: a report with another fence is answered with
//! `Stale` and changes nothing. Every way out of Running that keeps the request live leads through
//! Saving: no status names the earlier worker when the next one is granted a claim, so after a restart
//! the status tells which greeting to believe. Where instances share the API, the way into Waiting leads
//! through Saving too, until the status names this instance.

mod claim;
mod clock;
mod object;
mod report;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{
    api::PastAttempt,
    ids::{Holder, Now},
    life::{
        Act, Done, Dues, End, Ignored, Life, LifeEvent, Moment, PAST_ATTEMPTS_MAX, Reported, State,
        Stop,
    },
    reason::Reason,
};
pub use clock::Backoff;

/// The longest message of an ended attempt that the status keeps, bytes.
const PAST_MESSAGE_MAX: usize = 256;

/// What the transitions depend on besides state, event and time.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// So many lost attempts are tried again; the next loss fails the request.
    pub lost_max: u32,
    /// So many failed attempts are tried again, where another try may help.
    pub retries: u32,
    /// How long it pauses before that.
    pub backoff: Backoff,
    /// When its clocks run out.
    pub dues: Dues,
    /// The request is inherited and the period in which nothing of the kind is granted goes on.
    pub taking_over: bool,
    /// The name of its instance must be durable before it is offered.
    pub unclaimed: bool,
}

type Step = Result<Vec<Act>, Ignored>;

/// Applies one event.
///
/// # Errors
/// [`Ignored`] when the event means nothing in this state; the life is unchanged then.
pub fn decide(life: &mut Life, event: LifeEvent, policy: Policy, now: Now) -> Step {
    let mut acts = step(life, event, policy, now)?;
    if policy.unclaimed && life.state == State::Waiting {
        let in_line = |act: &Act| matches!(act, Act::Enqueue | Act::EnqueueLater | Act::Save);
        acts.retain(|act| !in_line(act));
        acts.extend(save(life, None, Duration::ZERO));
    }
    Ok(acts)
}

fn step(life: &mut Life, event: LifeEvent, policy: Policy, now: Now) -> Step {
    match event {
        LifeEvent::Offer => claim::offer(life, now),
        LifeEvent::Unplaced => claim::back(life, policy, Act::EnqueueLater),
        LifeEvent::Withdrawn => claim::back(life, policy, Act::Enqueue),
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
        } => report::ended(life, by, attempt, outcome, policy, now),
        LifeEvent::Greeted { by, attempt } => report::greeted(life, by, attempt, now),
        LifeEvent::Missing { by } => report::missing(life, &by, policy, now),
        LifeEvent::LeaseEnded { by } => report::lease_ended(life, &by, policy, now),
        LifeEvent::TakeoverEnded => clock::takeover_ended(life, policy, now),
        LifeEvent::Clock => clock::ran_out(life, policy, now),
        LifeEvent::Stop(why) => object::stop(life, why, now),
        LifeEvent::Behind { earlier, attached } => claim::behind(life, earlier, attached),
        LifeEvent::Free => claim::free(life, policy),
        LifeEvent::Shared(end) => claim::shared(life, end, now),
        LifeEvent::Gone => Ok(object::gone(life)),
        LifeEvent::Seen => object::seen(life),
        LifeEvent::Written => object::written(life, policy, now),
        LifeEvent::ForeignEnd => object::foreign_end(life, now),
        LifeEvent::Overtaken(found) => object::overtaken(life, *found, policy, now),
    }
}

fn start(life: &mut Life, by: Holder, now: Now) {
    let started = Moment::at(now);
    life.worker = Some(by.worker.clone());
    life.first_started.get_or_insert(started);
    life.started = Some(started);
    life.progress = None;
    life.state = State::Running { by };
}

/// Ends it with the present attempt.
fn finish(life: &mut Life, end: End, by: Option<Reported>, now: Now) -> Vec<Act> {
    let attempt = life.attempt();
    finish_with(life, end, attempt, by, now)
}

/// Ends it with an attempt that is counted already.
fn finish_with(
    life: &mut Life,
    end: End,
    attempt: u32,
    by: Option<Reported>,
    now: Now,
) -> Vec<Act> {
    if matches!(end, End::Succeeded { .. }) {
        life.progress = None;
    }
    life.state = State::Done(Done {
        end,
        at: Moment::at(now),
        attempt,
        by,
        written: false,
    });
    vec![Act::SaveNow]
}

/// How a request ends that was to end before its job has.
fn stopped(why: Stop) -> End {
    match why {
        Stop::Cancelled => End::Cancelled(Reason::Cancelled),
        Stop::Replaced => End::Cancelled(Reason::Replaced),
        Stop::Deadline => End::Failed {
            reason: Reason::DeadlineExceeded,
            message: "the request did not end within its deadline".into(),
        },
    }
}

/// It will run again, once that is durable and after a pause.
fn save(life: &mut Life, record: Option<Reported>, pause: Duration) -> Vec<Act> {
    (life.started, life.worker, life.progress) = (None, None, None);
    life.state = State::Saving { record, pause };
    vec![Act::SaveNow]
}

/// Keeps how an attempt ended, for the status.
fn remember(life: &mut Life, attempt: u32, reason: Reason, message: &str, now: Now) {
    if life.past.len() == PAST_ATTEMPTS_MAX {
        life.past.remove(0);
    }
    life.past.push(PastAttempt {
        attempt,
        worker: life.worker.as_deref().unwrap_or_default().into(),
        start_time: life.started.map(|moment| moment.wall),
        end_time: Some(Moment::at(now).wall),
        reason: reason.as_str().into(),
        message: message[..message.floor_char_boundary(PAST_MESSAGE_MAX)].into(),
    });
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
