//! Every state with every event: where it goes and what has to be done.
//!
//! `w` holds attempt 2 in every state that has a holder; `v` is another worker. What a test does not
//! name has the test's default answer.

mod claims;
mod clocks;
mod lives;
mod object;
mod others;
mod reports;
mod retries;

use std::time::Duration;

use super::*;
use crate::{
    api::Progress,
    ids::Uid,
    life::{FailureClass, Outcome},
    reason::Reason,
};
use lives::{life, lives, name};

const POLICY: Policy = Policy {
    lost_max: 3,
    retries: 0,
    backoff: Backoff {
        base: Duration::from_secs(8),
        max: Duration::from_secs(60),
        seed: 7,
    },
    dues: Dues {
        queue: None,
        deadline: None,
    },
    taking_over: false,
    unclaimed: false,
};
const CURRENT: u32 = 2;

fn now() -> Now {
    Now {
        mono: Duration::from_secs(9),
        wall: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn holder(worker: &str) -> Holder {
    Holder {
        worker: worker.into(),
        incarnation: "1".into(),
    }
}

fn short(act: &Act) -> String {
    match act {
        Act::Grant(by) => format!("Grant {}", by.worker),
        Act::Refuse(by, attempt, why) => format!("Refuse {}/{attempt} {why}", by.worker),
        Act::Stop(by, attempt, why) => format!("Stop {}/{attempt} {why}", by.worker),
        Act::Record(by, attempt) => format!("Record {}/{attempt}", by.worker),
        Act::Stale(by, attempt) => format!("Stale {}/{attempt}", by.worker),
        other => format!("{other:?}"),
    }
}

/// Checks one event in every state: `rows` say state and answer, `default` the answer of the others.
/// An answer is `state: acts`, `-: acts` when the state stays, or `ignored: why`. A state after which
/// the counts are higher says so.
fn check(event: &LifeEvent, rows: &[(&str, &str)], default: &str) {
    check_under(POLICY, event, rows, default);
}

fn check_under(policy: Policy, event: &LifeEvent, rows: &[(&str, &str)], default: &str) {
    let names: Vec<String> = lives().iter().map(name).collect();
    for (state, _) in rows {
        assert!(
            names.iter().any(|name| name == state),
            "{state} is none of {names:?}"
        );
    }
    for before in lives() {
        let row = rows.iter().find(|(state, _)| *state == name(&before));
        let expected = row.map_or(default, |(_, answer)| answer);
        let answer = answer(policy, event, &before);
        assert_eq!(answer, expected, "{} with {event:?}", name(&before));
    }
}

fn answer(policy: Policy, event: &LifeEvent, before: &Life) -> String {
    let mut after = before.clone();
    match decide(&mut after, event.clone(), policy, now()) {
        Err(Ignored(why)) => {
            assert_eq!(after, *before, "{event:?} was ignored");
            format!("ignored: {why}")
        }
        Ok(acts) => {
            let same = after.state == before.state && after.stop == before.stop;
            let mut state = if same { "-".into() } else { name(&after) };
            for (what, was, is) in [
                ("lost", before.lost, after.lost),
                ("failed", before.failed, after.failed),
            ] {
                if was != is {
                    state = format!("{state} {what}+{}", is - was);
                }
            }
            let acts: Vec<String> = acts.iter().map(short).collect();
            let line = format!("{state}: {}", acts.join(", "));
            line.trim_end().to_owned()
        }
    }
}
