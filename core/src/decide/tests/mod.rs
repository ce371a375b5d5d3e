//! Every state with every event: where it goes and what has to be done.
//!
//! `w` holds attempt 2 in every state that has a holder; `v` is another worker. What a test does not
//! name has the test's default answer.

mod claims;
mod object;
mod reports;

use std::time::Duration;

use super::*;
use crate::{
    api::Progress,
    life::{FailureClass, Outcome},
    reason::Reason,
};

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

fn life(state: State) -> Life {
    let mut life = Life::accepted(Moment::at(now()));
    life.lost = CURRENT - 1;
    if matches!(state, State::Running { .. } | State::Stopping { .. }) {
        life.worker = Some("w".into());
    }
    life.state = state;
    life
}

fn cancelled(state: State) -> Life {
    Life {
        stop: Some(Stop::Cancelled),
        ..life(state)
    }
}

fn done(by: Option<Holder>, written: bool) -> State {
    let end = End::Succeeded {
        result: None,
        artifacts: vec![],
    };
    State::Done(Done {
        end,
        at: Moment::at(now()),
        attempt: CURRENT,
        by,
        written,
    })
}

/// All states.
fn lives() -> Vec<Life> {
    let w = || holder("w");
    let running = || State::Running { by: w() };
    vec![
        life(State::Recovering),
        Life {
            worker: Some("w".into()),
            ..life(State::Recovering)
        },
        Life {
            worker: Some("w".into()),
            ..cancelled(State::Recovering)
        },
        life(State::Waiting),
        life(State::Saving {
            record: None,
            pause: Duration::ZERO,
        }),
        life(State::Saving {
            record: Some(w()),
            pause: Duration::ZERO,
        }),
        life(State::Offered {
            since: Duration::ZERO,
        }),
        life(State::Reserved { by: w() }),
        life(running()),
        cancelled(running()),
        life(State::Stopping {
            by: w(),
            back: false,
        }),
        life(State::Stopping {
            by: w(),
            back: true,
        }),
        cancelled(State::Stopping {
            by: w(),
            back: true,
        }),
        life(done(None, false)),
        life(done(Some(w()), false)),
        life(done(Some(w()), true)),
    ]
}

fn name(life: &Life) -> String {
    let mut name = match &life.state {
        State::Recovering if life.worker.is_some() => "Recovering of w".into(),
        State::Recovering => "Recovering".into(),
        State::Waiting => "Waiting".into(),
        State::Backoff { .. } => "Backoff".into(),
        State::Behind { .. } => "Behind".into(),
        State::Saving { record: None, .. } => "Saving".into(),
        State::Saving {
            record: Some(by), ..
        } => format!("Saving for {}", by.worker),
        State::Offered { .. } => "Offered".into(),
        State::Reserved { by } => format!("Reserved {}", by.worker),
        State::Running { by } => format!("Running {}", by.worker),
        State::Stopping { by, back: false } => format!("Stopping {}", by.worker),
        State::Stopping { by, back: true } => format!("Stopping {} back", by.worker),
        State::Done(done) => {
            let by = done
                .by
                .as_ref()
                .map(|by| format!(" by {}", by.worker))
                .unwrap_or_default();
            let end = match &done.end {
                End::Failed { reason, .. } => reason.as_str(),
                End::Succeeded { .. } => "Succeeded",
                End::Rejected { .. } => "Rejected",
                End::Cancelled(_) => "Cancelled",
                End::Foreign => "Foreign",
            };
            let written = if done.written { " written" } else { "" };
            format!("{end}{by}{written}")
        }
    };
    if life.stop.is_some() && !matches!(life.state, State::Done(_)) {
        name.push_str(" cancelled");
    }
    if life.lost > CURRENT - 1 {
        name.push_str(" lost+1");
    }
    if life.failed > 0 {
        name.push_str(" failed+1");
    }
    name
}

fn short(act: &Act) -> String {
    match act {
        Act::Grant(by) => format!("Grant {}", by.worker),
        Act::Refuse(by, why) => format!("Refuse {} {why}", by.worker),
        Act::Stop(by, attempt, why) => format!("Stop {}/{attempt} {why}", by.worker),
        Act::Record(by, attempt) => format!("Record {}/{attempt}", by.worker),
        Act::Stale(by, attempt) => format!("Stale {}/{attempt}", by.worker),
        other => format!("{other:?}"),
    }
}

/// Checks one event in every state: `rows` say state and answer, `default` the answer of the others.
/// An answer is `state: acts`, `-: acts` when the state stays, or `ignored: why`.
fn check(event: &LifeEvent, rows: &[(&str, &str)], default: &str) {
    let names: Vec<String> = lives().iter().map(name).collect();
    for (state, _) in rows {
        assert!(
            names.iter().any(|name| name == state),
            "{state} is none of {names:?}"
        );
    }
    for before in lives() {
        let mut after = before.clone();
        let answer = match decide(&mut after, event.clone(), POLICY, now()) {
            Err(Ignored(why)) => {
                assert_eq!(after, before, "{event:?} was ignored");
                format!("ignored: {why}")
            }
            Ok(acts) => {
                let state = if after.state == before.state {
                    "-".into()
                } else {
                    name(&after)
                };
                let acts: Vec<String> = acts.iter().map(short).collect();
                format!("{state}: {}", acts.join(", "))
                    .trim_end()
                    .to_owned()
            }
        };
        let row = rows.iter().find(|(state, _)| *state == name(&before));
        let expected = row.map_or(default, |(_, answer)| answer);
        assert_eq!(answer, expected, "{} with {event:?}", name(&before));
    }
}
