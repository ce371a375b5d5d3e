//! What only the passing of time brings about: pauses, the queue's clock, the deadline, the end of a
//! take-over.

use std::time::Duration;

use super::{Policy, Step, finish, report, stopped};
use crate::{
    ids::{Now, Uid},
    life::{Act, End, Ignored, Life, State, Stop},
    reason::Reason,
};

/// How long a request pauses after a failed attempt: exponential, with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first pause.
    pub base: Duration,
    /// The longest pause of all.
    pub max: Duration,
    /// Spreads the pauses of different requests; see [`Backoff::seed`].
    pub seed: u64,
}

pub(super) fn ran_out(life: &mut Life, policy: Policy, now: Now) -> Step {
    let over = |due: Option<Duration>| due.is_some_and(|due| due <= now.mono);
    if life.clock_at(policy.dues).is_none_or(|at| at > now.mono) {
        return Err(Ignored("not_yet"));
    }
    if over(policy.dues.deadline) {
        return Ok(deadline(life, now));
    }
    if let State::Backoff { until } = life.state
        && until <= now.mono
    {
        // Its counts are durable, so nobody holds the attempt that comes, take-over or not.
        life.state = State::Waiting;
        return Ok(vec![Act::Enqueue, Act::Save]);
    }
    let end = End::Failed {
        reason: Reason::QueueTimeout,
        message: "it did not start within its queue timeout".into(),
    };
    Ok(end_unheld(life, end, now))
}

fn deadline(life: &mut Life, now: Now) -> Vec<Act> {
    let attempt = life.attempt();
    if let State::Running { by } = &life.state {
        let by = by.clone();
        life.stop = Some(Stop::Deadline);
        return vec![Act::Stop(by, attempt, "deadline"), Act::Save];
    }
    end_unheld(life, stopped(Stop::Deadline), now)
}

/// Ends what no worker runs.
pub(super) fn end_unheld(life: &mut Life, end: End, now: Now) -> Vec<Act> {
    match &life.state {
        State::Saving { record, .. } => {
            let record = record.clone();
            finish(life, end, record, now)
        }
        State::Reserved { by } => {
            let mut acts = vec![Act::Refuse(by.clone(), life.attempt(), "ended")];
            acts.extend(finish(life, end, None, now));
            acts
        }
        _ => finish(life, end, None, now),
    }
}

pub(super) fn takeover_ended(life: &mut Life, policy: Policy, now: Now) -> Step {
    if life.state != State::Recovering {
        return Err(Ignored("not_recovering"));
    }
    if life.worker.is_some() {
        return Ok(report::lost(life, policy, now));
    }
    if let Some(why) = life.stop {
        return Ok(finish(life, stopped(why), None, now));
    }
    // The status tells no time for a pause, so it starts anew.
    if failed_last(life) {
        let pause = policy.backoff.pause(life.failed);
        life.state = State::Backoff {
            until: now.mono + pause,
        };
        return Ok(vec![Act::Save]);
    }
    life.state = State::Waiting;
    Ok(vec![Act::Enqueue, Act::Save])
}

fn failed_last(life: &Life) -> bool {
    let uncounted = [Reason::WorkerLost, Reason::Interrupted].map(Reason::as_str);
    let last = life.past.last();
    last.is_some_and(|past| !uncounted.contains(&past.reason.as_str()))
}

// === impl Backoff ===

impl Backoff {
    /// What spreads the pauses of a request: the FNV-1a hash of its UID.
    #[must_use]
    pub fn seed(uid: &Uid) -> u64 {
        let bytes = uid.0.bytes();
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// The pause after so many failed attempts: anything up to `base * 2^(failed - 1)` and `max`.
    #[must_use]
    pub fn pause(&self, failed: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
        let longest = self.base.saturating_mul(doubled).min(self.max);
        let part = mixed(self.seed ^ u64::from(failed)) >> 32;
        let nanos = (longest.as_nanos() * u128::from(part)) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The finalizer of `SplitMix64`: every bit of the input moves every bit of the output.
fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
